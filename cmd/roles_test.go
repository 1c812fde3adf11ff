package cmd_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	roles "casdelius/deploy/nats"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

// denials are subjects that a connection was not allowed to publish or subscribe to.
type denials struct {
	mu  sync.Mutex
	all []string
}

func (d *denials) note(_ *nats.Conn, _ *nats.Subscription, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, err.Error())
}

func (d *denials) of(subject string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, text := range d.all {
		if strings.Contains(strings.ToLower(text), `"`+strings.ToLower(subject)+`"`) {
			return true
		}
	}
	return false
}

// As all of this package's tests do, the first part runs both services as their roles; what a role
// must not do the server is asked for, by the subjects of its API. Whatever is allowed to nobody
// but the administrator is denied to the others.
var forbidden = func() map[string][]string {
	streams := []string{
		"$JS.API.STREAM.CREATE.CAS_EVENTS", "$JS.API.STREAM.CREATE.ANOTHER", "$JS.API.STREAM.UPDATE.CAS_EVENTS", "$JS.API.STREAM.DELETE.CAS_EVENTS",
		"$JS.API.STREAM.DELETE.CAS_REJECTED", "$JS.API.STREAM.PURGE.CAS_EVENTS", "$JS.API.STREAM.PURGE.CAS_REJECTED",
		"$JS.API.STREAM.MSG.DELETE.CAS_EVENTS", "$JS.API.STREAM.SNAPSHOT.CAS_EVENTS", "$JS.API.STREAM.RESTORE.CAS_EVENTS",
		"$JS.API.STREAM.LEADER.STEPDOWN.CAS_EVENTS", "$JS.API.STREAM.PEER.REMOVE.CAS_EVENTS", "$JS.API.CONSUMER.DELETE.CAS_EVENTS.delius",
		"$JS.API.CONSUMER.PAUSE.CAS_EVENTS.delius", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.STREAM.LIST", "$JS.API.INFO", "$SYS.REQ.SERVER.PING", "elsewhere",
	}
	reading := []string{
		"$JS.API.STREAM.MSG.GET.CAS_REJECTED", "$JS.API.DIRECT.GET.CAS_REJECTED", "$JS.API.CONSUMER.CREATE.CAS_REJECTED.x", "$JS.API.CONSUMER.DURABLE.CREATE.CAS_REJECTED.x",
		"$JS.API.CONSUMER.MSG.NEXT.CAS_REJECTED.x", "$JS.ACK.CAS_REJECTED.x.1.1.1.1.0",
	}
	readingEvents := []string{
		"$JS.API.STREAM.MSG.GET.CAS_EVENTS", "$JS.API.DIRECT.GET.CAS_EVENTS", "$JS.API.CONSUMER.CREATE.CAS_EVENTS.x", "$JS.API.CONSUMER.CREATE.CAS_EVENTS",
		"$JS.API.CONSUMER.DURABLE.CREATE.CAS_EVENTS.x", "$JS.API.CONSUMER.MSG.NEXT.CAS_EVENTS.delius", "$JS.API.CONSUMER.DELETE.CAS_EVENTS.x",
		"$JS.API.CONSUMER.INFO.CAS_EVENTS.delius", "$JS.ACK.CAS_EVENTS.delius.1.1.1.1.0",
	}
	storing := []string{"cas.events.cas3.00000000-0000-4000-8000-000000000001", "cas.events.person.x", "cas.rejected.malformed", "cas.rejected.replayed"}
	asking := []string{"cas.ask.rejected"}
	join := func(lists ...[]string) (all []string) {
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
	return map[string][]string{
		natstest.Ingest:        join(streams, []string{"$JS.API.DIRECT.GET.CAS_REJECTED", "$JS.API.CONSUMER.DURABLE.CREATE.CAS_REJECTED.x", "$JS.ACK.CAS_REJECTED.x.1.1.1.1.0"}, readingEvents, asking),
		natstest.Projector:     join(streams, reading, storing),
		natstest.Operator:      join(streams, asking, []string{"$JS.API.CONSUMER.MSG.NEXT.CAS_EVENTS.delius", "$JS.ACK.CAS_EVENTS.delius.1.1.1.1.0"}),
		natstest.Console:       join(streams, []string{"$JS.API.DIRECT.GET.CAS_REJECTED", "$JS.API.CONSUMER.DURABLE.CREATE.CAS_REJECTED.x", "$JS.ACK.CAS_REJECTED.x.1.1.1.1.0"}, readingEvents, storing, asking),
		natstest.Administrator: join(storing, asking, []string{"elsewhere", "$SYS.REQ.SERVER.PING", "$JS.ACK.CAS_EVENTS.delius.1.1.1.1.0"}),
	}
}()

// unguarded are those of the subjects that a role is forbidden that it may publish to all the
// same, and of the subjects that are nobody's but another's that it may listen to.
func unguarded(t *testing.T, server *natstest.Server, role string) (may []string) {
	t.Helper()
	var denied denials
	conn, err := nats.Connect(server.URLAs(role), nats.CustomInboxPrefix(natstest.InboxOf(role)), nats.ErrorHandler(denied.note))
	require.NoError(t, err)
	defer conn.Close()
	listening := []string{"cas.ask.rejected", "cas.events.>", "cas.rejected.>", "$JS.API.>", "$JS.ACK.>", "_INBOX.>", ">", "$SYS.>"}
	for _, other := range natstest.Roles() {
		if other != role {
			listening = append(listening, natstest.InboxOf(other)+".>")
		}
	}
	for _, subject := range forbidden[role] {
		require.NoError(t, conn.Publish(subject, []byte("{}")))
	}
	for _, subject := range listening {
		_, err := conn.SubscribeSync(subject)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Flush())
	sent := append(append([]string{}, forbidden[role]...), listening...)
	waitUntil := time.Now().Add(5 * time.Second) // errors come in a goroutine of their own
	for _, subject := range sent {
		for !denied.of(subject) && time.Now().Before(waitUntil) {
			require.NoError(t, conn.FlushTimeout(time.Second))
		}
		if !denied.of(subject) {
			may = append(may, subject)
		}
	}
	return may
}

// The control gives ingest one subject more.
func TestARoleOfNATSMayDoNothingElse(t *testing.T) {
	t.Parallel()
	s := setup(t)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 2})
	s.run(t)
	s.raise(t, shuffled(chance, histories)...)
	s.settle(t)
	for role := range forbidden {
		require.Empty(t, unguarded(t, s.nats, role), role)
	}
	for _, user := range []string{"http://x", "nobody"} {
		_, err := nats.Connect(s.nats.URLAs(user))
		require.ErrorIs(t, err, nats.ErrAuthorization)
	}
	_, err := nats.Connect(s.nats.URL())
	require.ErrorIs(t, err, nats.ErrAuthorization)

	const more = "$JS.API.STREAM.MSG.GET.CAS_EVENTS"
	weak := natstest.Start(t, natstest.Options{Roles: strings.Replace(roles.Roles, `"cas.rejected.>"`, `"cas.rejected.>", "`+more+`"`, 1)})
	require.Equal(t, []string{more}, unguarded(t, weak, natstest.Ingest))
}
