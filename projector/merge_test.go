package projector_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/verify"
	"casdelius/store"
)

// merges is a rig with people to merge.
type merges struct {
	*rig
	t *testing.T
}

const third, fourth store.CRN = "A000003", "A000004"

func newMerges(t *testing.T) merges {
	t.Helper()
	r := populated(t)
	require.NoError(t, r.delius.AddPeople(ctx, []postgrestest.Person{{CRN: third, Manager: manager}, {CRN: fourth, Manager: manager}}))
	return merges{r, t}
}

func (m merges) merge(source, target store.CRN) {
	require.NoError(m.t, m.delius.Merge(ctx, source, target))
}

func (m merges) unmerge(source store.CRN) { require.NoError(m.t, m.delius.Unmerge(ctx, source)) }

func (m merges) deliusMoves(from, to store.CRN) {
	require.NoError(m.t, m.delius.MoveRows(ctx, from, to))
}

// arrive stores an arrival of a booking by its number, that many months after the first.
func (m merges) arrive(n byte, crn store.CRN, month int) {
	e := arrival(n, fmt.Sprint("place ", n), store.PersonArrived, int(n), crn)
	e.Body = fmt.Appendf(nil, `{"eventDetails":{"premises":{"addressLine1":"Place %d","postcode":"AB1 2CD"},"arrivedAt":"%s"}}`,
		n, noon.AddDate(0, month, 0).Format(time.RFC3339))
	m.stream.add(e)
}

// rebuild rebuilds everyone, and holds that a second time finds nothing to do.
func (m merges) rebuild() {
	m.t.Helper()
	tally, err := m.Rebuild(ctx, projector.Rebuild{})
	require.NoError(m.t, err)
	require.Zero(m.t, tally.Left)
	require.Empty(m.t, m.plan(m.t), "the second diff is empty")
	_, damaged, _ := m.verify(m.t, false)
	require.Empty(m.t, damaged)
}

// stands lists the rows: of addresses who, where, status and end; of contacts who and whether
// they are deleted.
func (m merges) stands() (all []string) {
	addresses, err := m.delius.Addresses(ctx)
	require.NoError(m.t, err)
	for _, a := range addresses {
		text := fmt.Sprintf("%s %s %s", a.CRN, a.StreetName, a.Status)
		if !a.End.IsZero() {
			text += a.End.Format(" 01")
		}
		if a.SoftDeleted {
			text += " deleted"
		}
		all = append(all, text)
	}
	contacts, err := m.delius.Contacts(ctx)
	require.NoError(m.t, err)
	for _, c := range contacts {
		text := fmt.Sprintf("%s %s %s", c.CRN, c.Type, c.ExternalReference[len(c.ExternalReference)-1:])
		if c.SoftDeleted {
			text += " deleted"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// Each case names what it is about; a version that does not know merges fails all of them, and
// what else a case catches stands with it.
func TestAMergeTakesThePersonsRowsAlongAndAnUnmergeBringsThemBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		does func(merges)
		want []string
	}{
		"merged before the events": {func(m merges) {
			m.merge(someone, another)
			m.arrive(1, someone, 0)
		}, []string{"A000002 EAAR 1", "A000002 Place 1 M"}},
		"merged after the events": {func(m merges) {
			m.arrive(1, someone, 0)
			m.rebuild()
			m.merge(someone, another)
		}, []string{"A000002 EAAR 1", "A000002 Place 1 M"}},
		"merged between the events, both with a main address": { // one that does not join the claims leaves two at M
			func(m merges) {
				m.arrive(1, someone, 0)
				m.arrive(2, another, 1)
				m.rebuild()
				m.merge(someone, another)
				m.arrive(3, someone, 2)
			},
			[]string{"A000002 EAAR 1", "A000002 EAAR 2", "A000002 EAAR 3", "A000002 Place 1 P 04", "A000002 Place 2 P 05", "A000002 Place 3 M"},
		},
		"Delius moves the rows before us": {func(m merges) {
			m.arrive(1, someone, 0)
			m.rebuild()
			m.merge(someone, another)
			m.deliusMoves(someone, another)
		}, []string{"A000002 EAAR 1", "A000002 Place 1 M"}},
		"rows inserted on the target in between": { // one that takes its number for the row's finds none, or two
			func(m merges) {
				m.merge(someone, another)
				m.arrive(1, someone, 0)
				m.rebuild()
				m.unmerge(someone)
			},
			[]string{"A000001 EAAR 1", "A000001 Place 1 M"},
		},
		"a contact that was deleted on the source does not reappear": { // one that takes it for gone inserts another
			func(m merges) {
				m.arrive(1, someone, 0)
				m.rebuild()
				m.exec(m.t, "update delius.contact set soft_deleted = 1, row_version = row_version + 1, last_updated_datetime = now()")
				m.exec(m.t, "update delius.offender_address set soft_deleted = 1, last_updated_datetime = now()")
				m.merge(someone, another)
			},
			[]string{"A000001 EAAR 1 deleted", "A000001 Place 1 M deleted"},
		},
		"a chain": {func(m merges) {
			m.arrive(1, someone, 0)
			m.arrive(2, third, 1)
			m.rebuild()
			m.merge(someone, another)
			m.rebuild()
			m.merge(another, third)
		}, []string{"A000003 EAAR 1", "A000003 EAAR 2", "A000003 Place 1 P 04", "A000003 Place 2 M"}},
		"a chain of which the second link is undone": {
			func(m merges) {
				m.arrive(1, someone, 0)
				m.arrive(2, third, 1)
				m.rebuild()
				m.merge(someone, another)
				m.rebuild()
				m.merge(another, third)
				m.rebuild()
				m.unmerge(another)
			},
			[]string{"A000002 EAAR 1", "A000002 Place 1 M", "A000003 EAAR 2", "A000003 Place 2 M"},
		},
		"a chain of which the first link is undone": { // one that remembers only the last step parks them
			func(m merges) {
				m.arrive(1, someone, 0)
				m.rebuild()
				m.merge(someone, another)
				m.rebuild()
				m.merge(another, third)
				m.rebuild()
				m.unmerge(someone)
			},
			[]string{"A000001 EAAR 1", "A000001 Place 1 M"},
		},
		"two merged into one, and one of them undone": {func(m merges) {
			m.arrive(1, someone, 0)
			m.arrive(2, another, 1)
			m.arrive(3, third, 2)
			m.merge(someone, third)
			m.merge(another, third)
			m.rebuild()
			m.unmerge(another)
		}, []string{"A000002 EAAR 2", "A000002 Place 2 M", "A000003 EAAR 1", "A000003 EAAR 3", "A000003 Place 1 P 05", "A000003 Place 3 M"}},
		"merged and undone, with what a person wrote": { // one that inserts anew loses the line
			func(m merges) {
				m.arrive(1, someone, 0)
				m.rebuild()
				m.merge(someone, another)
				m.rebuild()
				contacts, err := m.delius.Contacts(ctx)
				require.NoError(m.t, err)
				require.NoError(m.t, m.delius.EditContact(ctx, contacts[0].ID, func(c *postgrestest.Contact) { c.Type = "EADP" }))
				m.unmerge(someone)
			},
			[]string{"A000001 EADP 1", "A000001 Place 1 M"},
		},
		"merged into one, undone, then into another": {func(m merges) {
			m.arrive(1, someone, 0)
			m.merge(someone, another)
			m.rebuild()
			m.unmerge(someone)
			m.merge(someone, third)
		}, []string{"A000003 EAAR 1", "A000003 Place 1 M"}},
		"the target is soft-deleted and leads nowhere": {func(m merges) {
			m.arrive(1, someone, 0)
			m.rebuild()
			m.merge(someone, another)
			m.exec(m.t, "update delius.offender set soft_deleted = 1 where crn = $1", another)
		}, []string{"A000001 EAAR 1", "A000001 Place 1 M"}},
		"a chain that goes round": { // one that follows it for ever never returns
			func(m merges) {
				m.arrive(1, someone, 0)
				m.rebuild()
				m.merge(someone, another)
				m.merge(another, third)
				m.merge(third, someone)
			},
			[]string{"A000001 EAAR 1", "A000001 Place 1 M"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMerges(t)
			test.does(m)
			m.rebuild()
			require.Equal(t, test.want, m.stands())
		})
	}
}

// A version that moves what it did not move itself takes rows from where a person put them.
func TestRowsThatDeliusMovedWaitForItAfterAnUnmerge(t *testing.T) {
	t.Parallel()
	m := newMerges(t)
	m.arrive(1, someone, 0)
	m.rebuild()
	m.merge(someone, another)
	m.deliusMoves(someone, another)
	m.rebuild()
	m.unmerge(someone)
	m.rebuild()
	require.Equal(t, []string{"A000002 EAAR 1", "A000002 Place 1 M"}, m.stands())
	require.Len(t, m.parked(t), 2)
	require.Contains(t, m.parked(t)[0], "person-changed")
	m.deliusMoves(another, someone)
	m.rebuild()
	require.Equal(t, []string{"A000001 EAAR 1", "A000001 Place 1 M"}, m.stands())
	require.Empty(t, m.parked(t))
}

// A version that says only that nobody is found leaves people to search for why.
func TestWhoIsParkedOverAMergeIsToldWhereItLed(t *testing.T) {
	t.Parallel()
	m := newMerges(t)
	m.arrive(1, someone, 0)
	m.merge(someone, another)
	m.exec(t, "update delius.offender set soft_deleted = 1 where crn = $1", another)
	m.rebuild()
	var problem string
	require.NoError(t, m.delius.Pool.QueryRow(ctx, "select problem from projection.parked where cause = 'person-not-found'").Scan(&problem))
	require.Regexp(t, `CRN A000001, which the referral's events name, was merged into A000002 on \d\d/\d\d/\d{4}, who is soft-deleted and was merged into nobody`, problem)
}

// A version that looks only at whom a referral names does not reconcile the one from whom rows
// went, and leaves them without a main address.
func TestAnUnmergeNoticedByOneOfTheTwoPutsBothRight(t *testing.T) {
	t.Parallel()
	m := newMerges(t)
	m.arrive(1, someone, 1)
	m.arrive(2, another, 0)
	m.merge(someone, another)
	m.rebuild()
	require.Equal(t, []string{"A000002 EAAR 1", "A000002 EAAR 2", "A000002 Place 1 M", "A000002 Place 2 P 04"}, m.stands())
	m.unmerge(someone)
	report, err := m.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{booking(1)}})
	require.NoError(t, err)
	require.Positive(t, report.Changes)
	m.reconcile(t) // who is due
	require.Equal(t, []string{"A000001 EAAR 1", "A000001 Place 1 M", "A000002 EAAR 2", "A000002 Place 2 M"}, m.stands())
	require.Empty(t, m.plan(t))
}

// A version that asks for a CRN only among the people who have it finds nothing of these.
func TestACRNThatWasMergedAwaySelectsThePerson(t *testing.T) {
	t.Parallel()
	m := newMerges(t)
	m.arrive(1, someone, 0)
	m.arrive(2, third, 1)
	m.merge(someone, another)
	m.merge(another, third)
	for _, crn := range []store.CRN{someone, another, third} {
		planned := 0
		_, err := m.on(t, m.db).Rebuild(ctx, projector.Rebuild{
			Selection: projector.Selection{CRNs: []store.CRN{crn}, DryRun: true},
			Planned:   func(d projector.Decision) error { planned += len(d.Outcome.Changes); return nil },
		})
		require.NoError(t, err)
		require.Equal(t, 4, planned, crn)
	}
	m.rebuild()
	for _, crn := range []store.CRN{someone, another, third} {
		history, err := m.db.PersonHistory(ctx, crn)
		require.NoError(t, err)
		require.Len(t, history.Events, 2, crn)
		require.Equal(t, third, history.Owner.CRN)
		verdict, err := m.Verify(ctx, verify.Verification{Selection: projector.Selection{CRNs: []store.CRN{crn}}, Grace: time.Nanosecond})
		require.NoError(t, err)
		require.Equal(t, 2, verdict.Contacts, crn)
	}
}

// A version that waits to be told notices none of these until the person's next event.
func TestMergesThatNothingTellsOfAreNoticed(t *testing.T) {
	t.Parallel()
	m := newMerges(t)
	m.arrive(1, someone, 0)
	m.runs(t, &quiet{stream: m.stream})
	stand := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return slices.Equal(want, m.stands()) }, time.Minute, 10*time.Millisecond)
	}
	stand("A000001 EAAR 1", "A000001 Place 1 M")
	m.merge(someone, another)
	stand("A000002 EAAR 1", "A000002 Place 1 M")
	m.merge(another, third)
	stand("A000003 EAAR 1", "A000003 Place 1 M")
	m.unmerge(another)
	stand("A000002 EAAR 1", "A000002 Place 1 M")
	m.unmerge(someone)
	stand("A000001 EAAR 1", "A000001 Place 1 M")
	misplaced, err := m.db.Misplaced(ctx)
	require.NoError(t, err)
	require.Empty(t, misplaced, "nobody is looked at for ever")
}
