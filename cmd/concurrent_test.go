package cmd_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random end-to-end tests; 0 is a random one, which a test that fails shows")

// chance is a source of randomness that a test that fails shows the seed of.
func chance(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("seed %d: run again with -seed %d", seed, seed)
	return rand.New(rand.NewPCG(seed, 1)), seed
}

// shuffled are the events of all histories in any order, a tenth of them twice.
func shuffled(chance *rand.Rand, histories []storetest.History) []storetest.Raised {
	var all []storetest.Raised
	for _, h := range histories {
		for _, e := range h.Events {
			if all = append(all, e); chance.IntN(10) == 0 {
				all = append(all, e)
			}
		}
	}
	chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// office is the practitioners who work on the people of a test while events come in.
// What they write never meets what events write, so that it must all be there in the
// end: lines at the end of notes, telephone numbers, rows of their own.
type office struct {
	*system
	people []storetest.Person
	quiet  chan struct{} // closed when no more events are to come: nobody is to wait for one
	over   chan struct{} // closed when the practitioners go home

	mu     sync.Mutex
	lines  map[int64][]string // added to contacts, by their id
	phones map[int64]string   // of addresses, by their id
	own    int                // contacts of their own
	homes  []postgrestest.Address
}

// open lets practitioners work until the function that it returns is called.
func (o *office) open(t *testing.T, chance *rand.Rand) (close func()) {
	o.lines, o.phones = map[int64][]string{}, map[int64]string{}
	o.over = make(chan struct{})
	var working sync.WaitGroup
	work := []func(*rand.Rand, string) error{o.annotate, o.phone, o.write, o.settleIn, o.holdPerson, o.holdContact, o.holdPerson, o.holdContact}
	for n := range 2 * len(work) {
		own := rand.New(rand.NewPCG(chance.Uint64(), chance.Uint64()))
		working.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-o.over:
					return
				default:
				}
				if err := work[n%len(work)](own, fmt.Sprintf("Practitioner %d, %d", n, round)); err != nil {
					t.Errorf("practitioner %d: %v", n, err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		closeOnce(o.over)
		working.Wait()
	})
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// breathe waits for the projectors to go on, so that practitioners do not work faster
// than people can.
func (o *office) breathe(steps int) { o.progress.await(steps, o.quiet) }

// one picks one of the rows that a query gives for one of these people, 0 if there is
// none.
func (o *office) one(chance *rand.Rand, people []storetest.Person, query string) (id int64, err error) {
	crn := people[chance.IntN(len(people))].CRN
	rows, err := o.delius.Pool.Query(ctx, query, string(crn))
	if err != nil {
		return 0, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return ids[chance.IntN(len(ids))], nil
}

const (
	contactsOf = `select contact_id from delius.contact join delius.offender using (offender_id)
		where crn = $1 and external_reference is not null order by 1`
	staysOf = `select offender_address_id from delius.offender_address a join delius.offender using (offender_id)
		join delius.r_standard_reference_list t on t.standard_reference_list_id = a.address_type_id
		where crn = $1 and t.code_value = 'A17' order by 1`
)

// annotate adds a line to a contact's notes.
func (o *office) annotate(chance *rand.Rand, line string) error {
	o.breathe(1)
	id, err := o.one(chance, o.people, contactsOf)
	if err != nil || id == 0 {
		return err
	}
	if err := o.delius.EditContact(ctx, id, func(c *postgrestest.Contact) { c.Notes = strings.TrimPrefix(c.Notes+"\n"+line, "\n") }); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines[id] = append(o.lines[id], line)
	return nil
}

// phone gives an address a telephone number.
func (o *office) phone(chance *rand.Rand, number string) error {
	o.breathe(1)
	id, err := o.one(chance, o.people, staysOf)
	if err != nil || id == 0 {
		return err
	}
	return o.delius.EditAddress(ctx, id, func(a *postgrestest.Address) {
		a.TelephoneNumber = number
		o.mu.Lock()
		defer o.mu.Unlock()
		o.phones[id] = number
	})
}

// write adds a contact of the practitioner's own.
func (o *office) write(chance *rand.Rand, note string) error {
	o.breathe(3)
	person := o.people[chance.IntN(len(o.people))]
	_, err := o.delius.InsertContact(ctx, postgrestest.Contact{
		CRN: string(person.CRN), Type: "EAAR", Officer: manager, Notes: note, Date: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.own++
	return err
}

// settleIn adds a main address of long ago, which the person's next move ends.
func (o *office) settleIn(chance *rand.Rand, street string) error {
	o.breathe(5)
	person := o.people[chance.IntN(len(o.people))]
	_, err := o.delius.InsertAddress(ctx, o.home(person, street))
	return err
}

// home makes an address that no other begins on the same day as.
func (o *office) home(person storetest.Person, street string) postgrestest.Address {
	o.mu.Lock()
	defer o.mu.Unlock()
	home := postgrestest.Address{
		CRN: string(person.CRN), Type: "A07", Status: "M", StreetName: street, Postcode: "YO1 7HH",
		Start: time.Date(2010, 1, 1+len(o.homes), 0, 0, 0, 0, time.UTC),
	}
	o.homes = append(o.homes, home)
	return home
}

const (
	lockPerson  = "select from delius.offender where offender_id = (select offender_id from delius.contact where contact_id = $1) for update"
	lockContact = "select from delius.contact where contact_id = $1 for update"
)

// sqlAddLine adds a line to a contact's notes.
const sqlAddLine = `
	update delius.contact set notes = ltrim(concat(notes, E'\n', $2::text), E'\n'), row_version = row_version + 1, last_updated_datetime = now(),
		last_updated_user_id = (select user_id from delius.user_ where distinguished_name = $3)
	where contact_id = $1`

// holdPerson locks a person, then one of their contacts, each for as long as the
// projectors take to get on with others.
func (o *office) holdPerson(chance *rand.Rand, line string) error {
	// The other half is holdContact's: these two would lock each other up by themselves.
	return o.hold(chance, o.people[:len(o.people)/2], line, lockPerson, lockContact)
}

// holdContact locks a contact first and then its person.
func (o *office) holdContact(chance *rand.Rand, line string) error {
	return o.hold(chance, o.people[len(o.people)/2:], line, lockContact, lockPerson)
}

// hold takes locks on a contact of one of these people and on the person, pausing after
// each, and adds a line to the contact, all in one transaction.
func (o *office) hold(chance *rand.Rand, people []storetest.Person, line string, locks ...string) error {
	o.breathe(1)
	id, err := o.one(chance, people, contactsOf)
	if err != nil || id == 0 {
		return err
	}
	return pgx.BeginFunc(ctx, o.delius.Pool, func(tx pgx.Tx) error {
		for _, lock := range locks {
			if _, err := tx.Exec(ctx, lock, id); err != nil {
				return err
			}
			o.breathe(2)
		}
		_, err := tx.Exec(ctx, sqlAddLine, id, line, postgrestest.Practitioner)
		if err != nil {
			return err
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.lines[id] = append(o.lines[id], line)
		return nil
	})
}

func TestProjectorsAndPractitionersAtOnceGiveTheSameRowsAndLoseNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 16, Unknown: 0.02, BadDetail: 0.01, BadAddress: 0.02})
	events := shuffled(chance, histories)
	o := &office{system: s, quiet: make(chan struct{})}
	for _, h := range histories {
		o.people = append(o.people, h.Person)
	}
	small := func(c *projector.Config) { c.Batch = 7 }
	s.ingest(t)
	s.ingest(t)
	first, second := s.project(t, small), s.project(t, small)
	goHome := o.open(t, chance)
	defer goHome()
	defer closeOnce(o.quiet)
	var third *instance
	for handful := range slices.Chunk(events, 9) { // so that people have the time to interfere
		s.raise(t, handful...)
		eventually(t, "the inbox has them", func() bool { return s.inboxComplete(t) })
		if third == nil && len(events)/2 < s.stored(t) {
			third = s.project(t, small)
		}
	}
	closeOnce(o.quiet)
	goHome()
	s.lookAgain(t) // what people did is noticed at the next look

	o.requireAll(t)
	s.requireNothingLost(t)
	s.requireStill(t)
	for _, p := range []*instance{first, second, third} {
		p.stop() // a connection that ends gives its statistics away
	}
	s.requireNoDeadlock(t)
}

// requireAll compares every row with the twin's, but for what practitioners have
// written, and holds that all of that is there.
func (o *office) requireAll(t testing.TB) {
	t.Helper()
	require.NotEmpty(t, o.lines)
	require.NotEmpty(t, o.phones)
	for _, home := range o.homes {
		o.twin.InsertAddress(deliustest.Address{
			CRN: store.CRN(home.CRN), Type: home.Type, Status: home.Status, Street: home.StreetName, Postcode: home.Postcode, Start: home.Start,
		}, time.Now())
	}
	o.twin.Project(time.Now())
	wantContacts, wantAddresses, err := postgrestest.TwinPortable(o.twin)
	require.NoError(t, err)

	all := o.rows(t)
	byURN := map[string]postgrestest.Contact{}
	own := 0
	for _, c := range all.contacts {
		if c.ExternalReference == "" {
			own++
			continue
		}
		require.NotContains(t, byURN, c.ExternalReference, "two contacts under one URN")
		byURN[c.ExternalReference] = c
	}
	require.Equal(t, o.own, own)
	require.Len(t, byURN, len(wantContacts))
	for _, want := range wantContacts {
		have := byURN[want.ExternalReference]
		require.Equal(t, sorted(want.Notes, o.lines[have.ID]), sorted(have.Notes, nil), "a practitioner's line is lost, or doubled: %s", want.ExternalReference)
		have.Notes, have.UpdatedBy = want.Notes, want.UpdatedBy
		require.Equal(t, want, have.Portable())
	}
	require.Len(t, all.addresses, len(wantAddresses))
	for _, a := range all.addresses {
		require.Equal(t, o.phones[a.ID], a.TelephoneNumber)
		a.TelephoneNumber = ""
		i := slices.IndexFunc(wantAddresses, func(w postgrestest.Address) bool {
			w.UpdatedBy = a.UpdatedBy
			return w == a.Portable()
		})
		require.GreaterOrEqual(t, i, 0, "the twin has no address %+v", a)
		wantAddresses = slices.Delete(wantAddresses, i, i+1)
	}
}

// sorted are the lines of notes and further ones that say something.
func sorted(notes string, further []string) []string {
	lines := append(strings.Split(notes, "\n"), further...)
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	slices.Sort(lines)
	return lines
}

// requireNoDeadlock holds that the database has never had to end a deadlock, on
// whichever side.
func (s *system) requireNoDeadlock(t *testing.T) {
	t.Helper()
	var deadlocks int
	require.NoError(t, s.delius.Pool.QueryRow(ctx, "select deadlocks from pg_stat_database where datname = current_database()").Scan(&deadlocks))
	require.Zero(t, deadlocks)
}

func TestAPersonWhomAPractitionerHoldsIsDeferredAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := setup(t)
	histories := s.generate(t, storetest.Options{Seed: 3, People: 6})
	_, running := s.run(t)
	held := histories[0].Person
	hold, letGo := context.WithCancel(ctx)
	defer letGo()
	locked, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- pgx.BeginFunc(ctx, s.delius.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select from delius.offender where crn = $1 for update", string(held.CRN))
			close(locked)
			<-hold.Done()
			return err
		})
	}()
	<-locked
	s.raiseAll(t, histories)
	eventually(t, "all others are there", func() bool {
		if !s.inboxComplete(t) {
			return false // before that, nobody may be due because nothing has come
		}
		var due int
		err := s.delius.Pool.QueryRow(ctx, `select count(distinct referral) from projection.due
			where referral not in (select referral from projection.identity where crn = $1 or noms = $2)`, string(held.CRN), string(held.NOMS)).Scan(&due)
		return err == nil && due == 0
	})
	for _, c := range s.rows(t).contacts {
		require.NotEqual(t, string(held.CRN), c.CRN)
	}
	require.NotEmpty(t, s.rows(t).contacts)
	require.Zero(t, running.counted(t, "projector_retries_total", ""), "no statement has waited for the lock")
	letGo()
	require.NoError(t, <-done)
	s.requireTwin(t)
}
