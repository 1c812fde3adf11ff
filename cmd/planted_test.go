package cmd_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
	"casdelius/store/torturetest"
)

// planted are words that stand nowhere else, by where each is planted: texts about people, their
// addresses, members of staff, and secrets.
var planted = map[string]string{
	"Wobblestone": "the first line of an address", "Pumblechook": "the second line of an address", "ZQ9 9QZ": "a postcode",
	"Snorkelby": "a town", "Dundershire": "a region",
	"Quillfeather": "the notes of an arrival", "Bramblethorpe": "the reason of a departure", "Osterwick": "the context of a cancellation",
	"Haverblossom": "the description of a status", "Tibberdine": "a member of an unknown type of event",
	"JuniperStaff": "the name of a recorder", "Marrowgate": "the name of who submitted",
	"Cinderpath": "the notes of an event that is parked", "Thistlemoor": "notes that a constraint refuses", "Crabwhistle": "notes that a trigger quotes",
	"Mossgargle": "a contact that a practitioner edited", "Plumridge": "an address that a practitioner edited",
	"QZXJ": "an escape in the notes of a detail that is no JSON", "Pebblewick": "the name of a member of a detail that is no JSON",
	"Hobblethwaite": "a message that is no JSON", "Fernsprocket": "a name that a message has twice",
	"Nettlecombe": "a detailUrl that is an object", "Larkspittle": "an identifier that is a list",
	"Userquill": "the user of a URL", "Passquill": "the password of a URL", "Tokenquill": "the query of a URL",
	"Keyquill": "AWS_SECRET_ACCESS_KEY", casapitest.ClientSecret: "OAUTH2_CLIENT_SECRET",
}

// requireNothingPlanted holds that none of some texts, by where they come from, has a planted
// word, nor any other of some words.
func requireNothingPlanted(tb testing.TB, told map[string]string, others map[string]string) {
	tb.Helper()
	words := maps.Clone(planted)
	maps.Copy(words, others)
	for _, source := range slices.Sorted(maps.Keys(told)) {
		require.NotEmpty(tb, told[source], source)
		for line := range strings.Lines(told[source]) {
			for word, where := range words {
				if strings.Contains(strings.ToLower(line), strings.ToLower(word)) {
					tb.Errorf("%s tells of %s (%q): %.2000s", source, where, word, line)
				}
			}
		}
	}
}

// Catches whatever tells more than ids, codes and times: as it was before, the error of a detail's
// URL with user, password and query, the JSON library's errors with what they quote, a value of
// another type that was quoted, and what a trigger of Delius's raises, in logs and in traces.
func TestLogsMetricsHealthTracesAndListsTellNothingOfPeopleAndNoSecret(t *testing.T) {
	t.Parallel()
	p := startPlanted(t)
	p.raiseEverything(t)
	eventually(t, "everything has come to its end", func() bool { return p.unfinished(t) == "" })
	p.editAndReplace(t)

	told := map[string]string{}
	for _, running := range []*program{p.ingesting, p.projecting} {
		for _, path := range []string{"/metrics", "/health", "/health/readiness", "/health/liveness", "/info"} {
			told[running.name+" "+path] = running.get(t, path)
		}
	}
	for name, command := range map[string][]string{
		"the list of rejected":            {"ingest", "rejected", "list"},
		"the list of rejected for JSON":   {"ingest", "rejected", "list", "--json"},
		"the list of what is parked":      {"projector", "parked"},
		"the list of what is parked JSON": {"projector", "parked", "--json"},
	} {
		told[name] = p.output(t, command...)
	}
	for _, running := range []*program{p.ingesting, p.projecting} {
		running.stop(t)
		told["the log of "+running.name] = running.log.text()
	}
	told["traces"] = p.traces.text()
	for source, has := range map[string]string{
		"the log of ingest": "NotificationReceived", "the log of projector": "cannot be reconciled", "traces": string(store.PersonArrived),
		"projector /metrics": "projector_failures_total", "the list of what is parked": "failing", "the list of rejected": "forbidden-url",
	} {
		require.Contains(t, told[source], has, source)
	}
	requireNothingPlanted(t, told, p.passwords)

	// The control: the same check finds a word in each of them, and each word was on its way.
	whole := p.everythingStored(t)
	for source := range told {
		torturetest.RequireCaught(t, source+" tells of the notes of an arrival", func(tb testing.TB) {
			requireNothingPlanted(tb, map[string]string{source: told[source] + whole}, p.passwords)
		})
	}
	for word, where := range planted {
		torturetest.RequireCaught(t, fmt.Sprintf("what is stored tells of %s (%q)", where, word), func(tb testing.TB) {
			requireNothingPlanted(tb, map[string]string{"what is stored": whole}, nil)
		})
	}
}

// plantedSystem is a system whose services are programs that log at debug and export traces.
type plantedSystem struct {
	*system
	*programs
	ingesting, projecting *program
	traces                *journal
	passwords             map[string]string
	live                  store.Referral
}

const fewDeliveries = "cas-events-few"

func startPlanted(t *testing.T) *plantedSystem {
	t.Helper()
	p := &plantedSystem{system: setup(t), traces: &journal{}, passwords: map[string]string{}, live: newReferral()}
	p.database = postgrestest.AsRole(p.delius.Pool.Config().ConnString()) // with its password, as an environment may have it
	p.programs = p.build(t)
	_, err := p.sqs.CreateQueue(fewDeliveries, sqstest.QueueSettings{DeadLetterQueue: deadLetters, MaxReceiveCount: 2})
	require.NoError(t, err)
	p.admit(t, someone, constrained, triggered)
	for _, statement := range []string{
		"alter table delius.contact add constraint refuses check (notes not like '%Thistlemoor%')",
		`create function delius.quote() returns trigger language plpgsql as $$ begin
			raise exception 'this is bad: %', new.notes using detail = new.notes, hint = new.notes; end $$`,
		"create trigger quote before insert on delius.contact for each row when (new.notes like '%Crabwhistle%') execute function delius.quote()",
	} {
		_, err := p.delius.Pool.Exec(ctx, statement)
		require.NoError(t, err)
	}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(p.traces, r.Body)
	}))
	t.Cleanup(collector.Close)
	p.environment = append(p.environment, "LOG_LEVEL=debug", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "CANARY_INTERVAL=10m",
		"AWS_SECRET_ACCESS_KEY=Keyquill", "MESSAGING_CONSUMER_QUEUE="+fewDeliveries)
	for _, of := range []string{p.database, p.nats.URLAs(natstest.Ingest), p.nats.URLAs(natstest.Projector)} {
		address, err := url.Parse(of)
		require.NoError(t, err)
		password, given := address.User.Password()
		require.True(t, given)
		p.passwords[password] = "the password of " + address.Scheme
	}
	p.ingesting = p.start(t, natstest.Ingest, "run")
	p.projecting = p.start(t, natstest.Projector, "run")
	return p
}

// People who cannot be reconciled.
var (
	constrained = storetest.Person{CRN: "X100002", NOMS: "A1002AA"}
	triggered   = storetest.Person{CRN: "X100003", NOMS: "A1003AA"}
)

// stated is an event with these details, of a person.
func (p *plantedSystem) stated(t *testing.T, who storetest.Person, typ store.Type, of store.Referral, emitted string, details says) storetest.Raised {
	t.Helper()
	e := p.event(t, typ, of, emitted, details)
	names := strings.NewReplacer(string(someone.CRN), string(who.CRN), string(someone.NOMS), string(who.NOMS))
	e.Body, e.Notification = []byte(names.Replace(string(e.Body))), []byte(names.Replace(string(e.Notification)))
	return e
}

// send serves details and puts notifications into the queue.
func (p *plantedSystem) send(t *testing.T, events ...storetest.Raised) {
	t.Helper()
	for _, e := range events {
		p.cas.Put(e.DetailPath, e.Body)
		_, err := p.sqs.Send(fewDeliveries, sqstest.EnvelopeSNS(string(e.Notification), string(e.Type), uuid.NewString(), time.Now()), nil)
		require.NoError(t, err)
	}
}

// raiseEverything raises events that are applied, parked, that fail and that are rejected.
func (p *plantedSystem) raiseEverything(t *testing.T) {
	t.Helper()
	const at = "2024-06-10T12:00:00Z"
	recorder := func(code string) says {
		return says{"staffCode": code, "username": "JuniperStaff", "probationRegionCode": "N54"}
	}
	arrived := func(code, notes string) says {
		return says{"arrivedAt": at, "notes": notes, "recordedBy": recorder(code), "premises": says{
			"addressLine1": "1 Wobblestone Street", "addressLine2": "Pumblechook House", "postcode": "ZQ9 9QZ", "town": "Snorkelby", "region": "Dundershire",
		}}
	}
	application := says{
		"submittedAt": at, "updatedAt": at, "submittedBy": says{"staffMember": says{"name": "Marrowgate"}}, "updatedBy": says{"name": "Marrowgate"},
		"applicationUrl": "https://Userquill:Passquill@cas.example/1?token=Tokenquill",
		"newStatus":      says{"name": "offerAccepted", "label": "Offer accepted", "description": "Haverblossom"},
	}
	p.send(
		t,
		p.stated(t, someone, store.PersonArrived, p.live, at, arrived(known, "Quillfeather came")),
		p.stated(t, someone, store.PersonDeparted, newReferral(), at, says{"departedAt": at, "reason": "Other", "reasonDetail": "Bramblethorpe", "recordedBy": recorder(known)}),
		p.stated(t, someone, store.BookingCancelled, newReferral(), at, says{"cancellationReason": "Other", "cancellationContext": "Osterwick", "cancelledBy": recorder(known)}),
		p.stated(t, someone, store.ApplicationSubmitted, newReferral(), at, application),
		p.stated(t, someone, store.ApplicationStatusUpdated, newReferral(), at, application),
		p.stated(t, someone, "accommodation.cas3.booking.changed", newReferral(), at, says{"of": "Tibberdine"}),
		p.stated(t, someone, store.PersonArrived, newReferral(), at, says{"arrivedAt": "2024-05-10T12:00:00Z", "notes": "Cinderpath", "premises": hopeStreet, "recordedBy": recorder(unknown)}),
		p.stated(t, constrained, store.PersonArrived, newReferral(), at, arrived(known, "Thistlemoor")),
		p.stated(t, triggered, store.PersonArrived, newReferral(), at, arrived(known, "Crabwhistle")),
	)
	with := func(old, replaced string) storetest.Raised {
		e := p.stated(t, someone, store.PersonArrived, newReferral(), at, arrived(known, "notes"))
		e.Notification = []byte(strings.Replace(string(e.Notification), old, replaced, 1))
		return e
	}
	escape, member := with("", ""), with("", "")
	escape.Body = []byte(strings.Replace(string(escape.Body), `"notes":"notes"`, `"notes":"\uQZXJ"`, 1))
	member.Body = []byte(strings.Replace(string(member.Body), `"notes":"notes"`, `"Pebblewick":\`, 1))
	p.send(t, escape, member,
		with("http://", "http://Userquill:Passquill@"), with(`"detailUrl":"`, `"detailUrl":"ftp://Userquill:Passquill@x?token=Tokenquill`),
		with(`"detailUrl":"`, `"Fernsprocket":1,"Fernsprocket":2,"detailUrl":"`),
		with(`"detailUrl":"`, `"detailUrl":{"of":"Nettlecombe"},"other":"`), with(`"value":"X100001"`, `"value":["Larkspittle"]`))
	_, err := p.sqs.Send(fewDeliveries, "Hobblethwaite is here", nil)
	require.NoError(t, err)
}

// unfinished says what of it is not seen to the end.
func (p *plantedSystem) unfinished(t *testing.T) string {
	t.Helper()
	depth, err := p.sqs.Depth(fewDeliveries)
	require.NoError(t, err)
	rejected, failing, stored, applied := 0, 0, 0, 0
	for _, err := range p.log.Rejected(ctx) {
		require.NoError(t, err)
		rejected++
	}
	require.NoError(t, p.delius.Pool.QueryRow(ctx, `select (select count(*) from projection.failing), (select count(*) from projection.event),
		(select count(*) from delius.contact)`).Scan(&failing, &stored, &applied))
	if parked := p.parked(t)["staff-not-found"]; depth.Visible+depth.InFlight > 0 || rejected != 8 || failing != 2 || stored != 9 || applied != 5 || parked != 1 {
		return fmt.Sprintf("%+v are in the queue, %d are rejected, %d fail, %d are stored, %d are applied, %d parked", depth, rejected, failing, stored, applied, parked)
	}
	return ""
}

// editAndReplace has a practitioner edit what the events then replace.
func (p *plantedSystem) editAndReplace(t *testing.T) {
	t.Helper()
	c, a := p.contact(t, arrivalURN(p.live)), p.address(t, "2024-06-10")
	require.NoError(t, p.delius.EditContact(ctx, c.ID, func(c *postgrestest.Contact) { c.Notes = "Mossgargle\n" + c.Notes }))
	require.NoError(t, p.delius.EditAddress(ctx, a.ID, func(a *postgrestest.Address) { a.BuildingName = "Plumridge" }))
	p.send(t, p.stated(t, someone, store.PersonArrivedUpdated, p.live, "2024-06-12T12:00:00Z", arrival("2024-06-10T12:00:00Z", canalRoad, "")))
	eventually(t, "the address is replaced", func() bool { return len(p.conflicts(t)) > 0 })
}

// everythingStored is what the services have stored, been told and sent: all of the planted.
func (p *plantedSystem) everythingStored(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for m, err := range p.log.Read(ctx, 0, 0) {
		require.NoError(t, err)
		fmt.Fprintf(&all, "%s\n", m.Body)
	}
	for m, err := range p.log.Rejected(ctx) {
		require.NoError(t, err)
		fmt.Fprintf(&all, "%s %s\n", m.Body, m.Answer)
	}
	fmt.Fprintln(&all, p.rows(t), p.conflicts(t), strings.Join(p.environment, "\n"))
	return all.String()
}
