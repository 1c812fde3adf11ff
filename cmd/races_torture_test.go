//go:build torture

package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/failpoint"
	"casdelius/store/storetest"
	"casdelius/store/torturetest"
)

// raceCount is how often the whole torture has a practitioner's transaction meet a step, in so many
// places at once.
const raceCount, places = 5000, 4

// TestTortureRacesWithPractitioners has a practitioner edit, delete, insert or lock a row of the
// very person of a step, at each moment of that step: half of the time another projector takes
// the same step.
func TestTortureRacesWithPractitioners(t *testing.T) {
	t.Parallel()
	r := newRaces(t, torturetest.Part(t, raceCount), func(steps projector.Steps) projector.Steps { return steps })
	r.run(t)
	r.requireAll(t)
	for what, n := range r.did {
		torturetest.Figure(t, "races with a practitioner who "+what, n)
	}
	torturetest.Figure(t, "of them people who were deferred", int(r.deferred.Load()))
}

// TestTortureControlRacesWithPractitioners: a writer that does not hold what it writes against
// what it has read.
func TestTortureControlRacesWithPractitioners(t *testing.T) {
	t.Parallel()
	var r *races
	r = newRaces(t, 400, func(steps projector.Steps) projector.Steps { return carelessSteps{steps, &r} })
	r.run(t)
	torturetest.RequireCaught(t, "a practitioner's line is lost, or doubled", func(tb testing.TB) { r.requireAll(tb) })
}

// races is an office whose practitioners meet steps at chosen moments.
type races struct {
	office
	db         *postgres.Database
	projectors [2]*projector.Projector
	sequence   atomic.Uint64
	deferred   atomic.Int64
	places     []*place
	did        map[string]int
	deleted    map[int64]bool // contacts
	close      func()
}

// place is where one race is run after the other, with people of its own.
type place struct {
	*races
	chance *rand.Rand
	events []storetest.Raised
	left   map[store.Referral]int // events
	whose  map[store.Referral]storetest.Person
}

// newRaces makes up the events of at least so many races.
func newRaces(t *testing.T, n int, of func(projector.Steps) projector.Steps) *races {
	t.Helper()
	r := &races{office: office{system: setup(t)}, did: map[string]int{}, deleted: map[int64]bool{}}
	r.lines, r.phones = map[int64][]string{}, map[int64]string{}
	chance := torturetest.Random(t)
	histories := r.generate(t, storetest.Options{Seed: chance.Uint64N(1 << 32), People: n/8 + places})
	for i := range places {
		r.places = append(r.places, &place{races: r, chance: rand.New(rand.NewPCG(chance.Uint64(), uint64(i))), left: map[store.Referral]int{}, whose: map[store.Referral]storetest.Person{}})
	}
	for i, h := range histories {
		r.people = append(r.people, h.Person)
		p := r.places[i%places]
		for _, e := range shuffled(p.chance, []storetest.History{h}) {
			if len(p.events) < n/places {
				p.events = append(p.events, e)
				p.left[e.Referral]++
				p.whose[e.Referral] = h.Person
			}
		}
	}
	pool, err := projection.Delius(r.database).Connect(ctx, 3*places)
	require.NoError(t, err)
	r.close = sync.OnceFunc(pool.Close)
	t.Cleanup(r.close)
	r.db, err = postgres.New(ctx, pool, r.pauses)
	require.NoError(t, err)
	for i := range r.projectors {
		ports := r.db.Ports()
		ports.Steps = of(ports.Steps)
		ports.Steps = hookedSteps{ports.Steps}
		r.projectors[i], err = projector.New(projection.NewLog(r.log), ports, projector.Config{Retry: time.Millisecond, Logger: r.said.logger("projector")})
		require.NoError(t, err)
	}
	return r
}

// run runs all races, and has everybody looked at in the end.
func (r *races) run(t *testing.T) {
	t.Helper()
	var group errgroup.Group
	for _, p := range r.places {
		group.Go(func() error {
			for _, e := range p.events {
				if err := p.race(e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	all := map[store.Referral]bool{}
	for _, p := range r.places {
		for i := range p.events {
			r.twin.Store(p.events[i].Event)
			all[p.events[i].Referral] = true
		}
	}
	for some := range slices.Chunk(slices.Collect(maps.Keys(all)), 50) {
		require.NoError(t, r.look(ctx, 0, some, false))
	}
	r.close() // a connection that ends gives its statistics away
	r.requireNoDeadlock(t)
}

// look takes a step of referrals, which it may find locked.
func (r *races) look(ctx context.Context, which int, referrals []store.Referral, due bool) error {
	report, err := r.projectors[which].Reconcile(ctx, projector.Selection{Referrals: referrals, Due: due})
	r.deferred.Add(int64(report.Deferred))
	if err == nil && len(report.Failed) > 0 {
		err = fmt.Errorf("a person fails: %s", report.Failed[0].Problem)
	}
	return err
}

// The moments of a step at which a practitioner begins. Up to the last of the free ones the step
// has no row that the practitioner would wait for.
var (
	free   = []string{"begin", "begun", "read", "decided"}
	locked = []failpoint.Fault{
		{Point: failpoint.Apply},
		{Point: failpoint.Apply, After: true},
		{Point: failpoint.Outbox, After: true},
		{Point: failpoint.Commit},
		{Point: failpoint.Commit, After: true},
	}
)

// race puts an event into the inbox and takes the step of it, while a practitioner works on the
// same person.
func (p *place) race(e storetest.Raised) error {
	message := store.Stored{Event: e.Event, Sequence: p.sequence.Add(1), Stored: time.Now()}
	if err := p.db.Put(ctx, []store.Stored{message}); err != nil {
		return err
	}
	p.left[e.Referral]--
	of := []store.Referral{e.Referral}
	work, wait := p.practitioner(e)
	var began sync.Once
	ended := make(chan error, 1)
	begin := func() { began.Do(func() { go func() { ended <- work() }() }) }
	faults := &failpoint.Faults{}
	inside, cancel := faults.Within(ctx)
	defer cancel()
	moment := p.chance.IntN(len(free) + len(locked))
	if p.chance.IntN(2) == 0 {
		moment = len(free) - 1 - p.chance.IntN(2) // between what the step reads and what it writes
	}
	if moment < len(free) {
		inside = context.WithValue(inside, hookKey{}, hook{free[moment], func() {
			begin()
			if wait {
				ended <- <-ended
			}
		}})
	} else {
		fault := locked[moment-len(free)]
		fault.Kind, fault.Do = failpoint.Call, begin
		faults.Arm(fault)
	}
	var group errgroup.Group
	group.Go(func() error { return p.look(inside, 0, of, true) })
	if p.chance.IntN(2) == 0 {
		group.Go(func() error { return p.look(ctx, 1, of, true) })
	}
	err := group.Wait()
	begin() // where the step was never there
	if worked := <-ended; worked != nil {
		return worked
	}
	if err == nil {
		err = p.look(ctx, 1, of, true) // whoever was deferred
	}
	return err
}

// practitioner chooses what a practitioner does to the person of an event, and whether a step can
// wait for the end of it: not if it is the person that is locked.
func (p *place) practitioner(e storetest.Raised) (work func() error, wait bool) {
	who := []storetest.Person{p.whose[e.Referral]}
	line := fmt.Sprintf("Practitioner, %d", p.sequence.Load())
	own := rand.New(rand.NewPCG(p.chance.Uint64(), 1))
	edit := func(what string, query string, do func(id int64) error) func() error {
		ofReferral := query
		if query == liveContactsOf {
			ofReferral = strings.Replace(query, "order by", "and external_reference like '%"+e.Referral.String()+"' order by", 1)
		}
		return func() error {
			id, err := p.one(own, who, ofReferral)
			if err == nil && id == 0 {
				id, err = p.one(own, who, query) // of another referral
			}
			if err != nil {
				return err
			}
			if id == 0 { // nothing stands there yet
				p.note("inserts a contact")
				return p.insert(who[0], line)
			}
			p.note(what)
			return do(id)
		}
	}
	switch p.chance.IntN(8) {
	case 0, 6, 7:
		return edit("edits a contact", liveContactsOf, func(id int64) error { return p.addLine(id, line) }), true
	case 1:
		return edit("edits an address", lastStayOf, func(id int64) error { return p.setPhone(id, line) }), true
	case 2:
		return edit("deletes a contact", liveContactsOf, p.remove), true
	case 3:
		return edit("locks person and contact", liveContactsOf, func(id int64) error { return p.lockAndAdd(id, line, lockPerson, lockContact) }), false
	case 4:
		return edit("locks contact and person", liveContactsOf, func(id int64) error { return p.lockAndAdd(id, line, lockContact, lockPerson) }), false
	}
	return func() error {
		p.note("inserts an address")
		_, err := p.delius.InsertAddress(ctx, p.home(who[0], line))
		return err
	}, true
}

func (r *races) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did[what]++
}

// liveContactsOf are those that no practitioner has deleted.
const liveContactsOf = `select contact_id from delius.contact join delius.offender using (offender_id)
	where crn = $1 and external_reference is not null and contact.soft_deleted = 0 order by 1`

// lastStayOf is the address row of the latest stay.
const lastStayOf = `select offender_address_id from delius.offender_address a join delius.offender using (offender_id)
	join delius.r_standard_reference_list t on t.standard_reference_list_id = a.address_type_id
	where crn = $1 and t.code_value = 'A17' order by a.start_date desc limit 1`

func (r *races) addLine(id int64, line string) error {
	return r.delius.EditContact(ctx, id, func(c *postgrestest.Contact) {
		c.Notes += "\n" + line
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines[id] = append(r.lines[id], line)
	})
}

func (r *races) setPhone(id int64, number string) error {
	return r.delius.EditAddress(ctx, id, func(a *postgrestest.Address) {
		a.TelephoneNumber = number
		r.mu.Lock()
		defer r.mu.Unlock()
		r.phones[id] = number
	})
}

func (r *races) insert(person storetest.Person, note string) error {
	_, err := r.delius.InsertContact(ctx, postgrestest.Contact{
		CRN: string(person.CRN), Type: "EAAR", Officer: manager, Notes: note, Date: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own++
	return err
}

// remove deletes a contact: it stays deleted if no event of it is to come any more, else it goes
// altogether, and is to be inserted again.
func (p *place) remove(id int64) error {
	var urn string
	if err := p.delius.Pool.QueryRow(ctx, "select external_reference from delius.contact where contact_id = $1", id).Scan(&urn); err != nil {
		return err
	}
	referral, err := store.ParseReferral(urn[len(urn)-36:])
	if err != nil {
		return err
	}
	if p.left[referral] > 0 {
		_, err = p.delius.Pool.Exec(ctx, "delete from delius.contact where contact_id = $1", id)
	} else {
		err = p.delius.DeleteContact(ctx, id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left[referral] > 0 {
		delete(p.lines, id)
	} else {
		p.deleted[id] = true
	}
	return err
}

// lockAndAdd locks a person and one of their contacts, in either order, and adds a line.
func (r *races) lockAndAdd(id int64, line string, locks ...string) error {
	return pgx.BeginFunc(ctx, r.delius.Pool, func(tx pgx.Tx) error {
		for _, lock := range locks {
			if _, err := tx.Exec(ctx, lock, id); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, sqlAddLine, id, line, postgrestest.Practitioner)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines[id] = append(r.lines[id], line)
		return err
	})
}

// requireAll is the office's, of whose contacts some are deleted.
func (r *races) requireAll(tb testing.TB) {
	tb.Helper()
	for id := range r.deleted {
		_, err := r.delius.Pool.Exec(ctx, "update delius.contact set soft_deleted = 0 where contact_id = $1 and soft_deleted = 1", id)
		require.NoError(tb, err)
	}
	r.office.requireAll(tb)
}

// hook is what is done at a moment between the calls of a step.
type hook struct {
	at string
	do func()
}

type hookKey struct{}

func reach(ctx context.Context, at string) {
	if h, is := ctx.Value(hookKey{}).(hook); is && h.at == at {
		h.do()
	}
}

// hookedSteps are steps whose moments can be met.
type hookedSteps struct{ projector.Steps }

func (s hookedSteps) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	reach(ctx, "begin")
	step, err := s.Steps.Begin(ctx, selection)
	reach(ctx, "begun")
	return hookedStep{step}, err
}

type hookedStep struct{ projector.Step }

func (s hookedStep) LoadCurrent(ctx context.Context, subjects []projector.Subject) (delius.References, error) {
	refs, err := s.Step.LoadCurrent(ctx, subjects)
	reach(ctx, "read")
	return refs, err
}

func (s hookedStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	reach(ctx, "decided")
	return s.Step.Apply(ctx, decisions, now)
}

// carelessSteps write whatever stands there by then.
type carelessSteps struct {
	projector.Steps
	of **races
}

func (s carelessSteps) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	step, err := s.Steps.Begin(ctx, selection)
	return carelessStep{step, *s.of}, err
}

type carelessStep struct {
	projector.Step
	of *races
}

func (s carelessStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	for i := range decisions {
		for _, change := range decisions[i].Outcome.Changes {
			if c, is := change.(*delius.UpdateContact); is {
				err := s.of.delius.Pool.QueryRow(ctx, "select row_version, last_updated_datetime from delius.contact where contact_id = $1", c.Was.ID).
					Scan(&c.Was.Version, &c.Was.Updated)
				if err != nil && !errors.Is(err, pgx.ErrNoRows) {
					return projector.Applied{}, err
				}
			}
		}
	}
	return s.Step.Apply(ctx, decisions, now)
}
