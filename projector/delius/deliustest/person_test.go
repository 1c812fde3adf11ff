package deliustest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

func named(e store.Event, c store.CRN, n store.NOMS) store.Event {
	e.CRN, e.NOMS = c, n
	return e
}

func TestPersonIsThatOfTheLatestEventWithACRN(t *testing.T) {
	t.Parallel()
	b := setup(t).store(
		named(departed(1, "01-03", "01-03"), "", "A1234AA"),
		named(arrived(1, "01-02", "01-02", house), "A000002", ""),
		named(arrived(1, "01-01", "01-01", house), "A000001", ""),
	)
	for _, c := range b.Contacts() {
		assert.Equal(t, store.CRN("A000002"), c.CRN)
	}
	assert.Equal(t, store.CRN("A000002"), b.address().CRN)
}

func TestPersonIsFoundByNOMSNumber(t *testing.T) {
	t.Parallel()
	b := setup(t).store(named(arrived(1, "01-01", "01-01", house), "", "A1234AB"))
	assert.Equal(t, store.CRN("A000002"), b.contact().CRN)
}

func TestNobodyFoundParksEveryContactOfTheReferral(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.AddOffender(deliustest.Offender{ID: 3, CRN: "A000003", NOMS: "A1234AB"})
	b.AddOffender(deliustest.Offender{ID: 4, CRN: "A000004", SoftDeleted: true})
	b.store(
		named(arrived(1, "01-01", "01-01", house), "A000009", "A1234AA"), // a CRN that nobody has, not the NOMS number's
		named(departed(1, "01-02", "01-02"), "A000009", "A1234AA"),
		named(arrived(2, "01-01", "01-01", house), "", "A1234AB"),
		named(arrived(3, "01-01", "01-01", house), "", ""),
		named(arrived(4, "01-01", "01-01", house), "A000004", ""),
	)
	assert.Empty(t, b.Contacts())
	assert.Empty(t, b.Addresses())
	assert.Equal(t, []string{
		deliustest.PersonAmbiguous, deliustest.PersonNotFound, deliustest.PersonNotFound,
		deliustest.PersonNotFound, deliustest.PersonNotFound,
	}, b.causes())

	b.AddOffender(deliustest.Offender{ID: 3, CRN: "A000003", NOMS: "A1234AB", SoftDeleted: true})
	b.AddOffender(deliustest.Offender{ID: 9, CRN: "A000009"})
	b.SetManager(deliustest.Manager{ID: 9, OffenderID: 9, Provider: "N03", Team: "N03HPT", Staff: "N03A001", Active: true})
	b.project()
	assert.Len(t, b.Contacts(), 3)
	assert.Len(t, b.Parked(), 2)
}

func TestProjectingOnePersonLeavesTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Store(arrived(1, "01-01", "01-01", house))
	b.Store(named(arrived(2, "01-01", "01-01", house), "", "A1234AB"))
	b.ProjectPerson("A000009", b.clock)
	assert.Empty(t, b.Contacts())
	b.ProjectPerson("A000002", b.clock)
	assert.Equal(t, store.CRN("A000002"), b.contact().CRN)
	b.ProjectPerson("A000001", b.clock)
	assert.Len(t, b.Contacts(), 2)
}

func TestPersonChangedBackGetsTheRowsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house))
	b.store(named(departed(1, "01-02", "01-02"), "A000002", "")).settled()
	assert.Equal(t, []string{deliustest.PersonChanged, deliustest.PersonChanged}, b.causes())
	b.obey(func() bool { return true })
	b.project().settled()
	assert.Empty(t, b.causes())
	b.store(redeparted(1, "01-03", "01-03")).settled()
	b.obey(func() bool { return true })
	b.project().settled()
	assert.Empty(t, b.causes())

	live := map[string]int{}
	for _, c := range b.Contacts() {
		if !c.Deleted {
			live[string(c.CRN)+c.Type]++
		}
	}
	for _, a := range b.Addresses() {
		if !a.Deleted {
			live[string(a.CRN)+a.Type]++
		}
	}
	assert.Equal(t, map[string]int{"A000001EAAR": 1, "A000001EADP": 1, "A000001A17": 1}, live)
	assert.Equal(t, []string{"deleted M 01-01..", "deleted P 01-01..01-02", "P 01-01..01-03"}, b.claims())
}

// obey does, one by one, what practitioners are asked to: they delete the rows of a
// referral that keep it from its person.
func (b *bench) obey(does func() bool) {
	for _, parked := range b.Parked() {
		if parked.Cause != deliustest.PersonChanged {
			continue
		}
		for _, c := range b.Contacts() {
			if c.URN == parked.Subject && c.CRN != parked.CRN && !c.Deleted && does() {
				c.Deleted = true
				b.edited(c)
			}
		}
		for _, a := range b.Addresses() {
			if parked.Subject == "address" && a.Type == deliustest.CAS3Address && a.CRN != parked.CRN && !a.Deleted && does() {
				a.Deleted = true
				b.edited(a)
			}
		}
	}
}

func TestChangedPersonWaitsForTheOldRowsToGo(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house))
	b.store(named(rearrived(1, "01-02", "01-01", house), "A000002", ""))
	assert.Equal(t, []string{deliustest.PersonChanged, deliustest.PersonChanged}, b.causes())
	assert.Zero(t, b.contact().Version)
	b.settled()

	contact, address := b.contact(), b.address()
	contact.Deleted = true
	b.edited(contact)
	b.project()
	assert.Equal(t, []string{deliustest.PersonChanged}, b.causes())
	assert.Len(t, b.Contacts(), 2)
	assert.Equal(t, store.CRN("A000002"), b.Contacts()[1].CRN)
	assert.Contains(t, b.Contacts()[1].Notes, "Address details were updated")

	address.Deleted = true
	b.edited(address)
	b.project().settled()
	assert.Empty(t, b.causes())
	assert.Equal(t, store.CRN("A000002"), b.Addresses()[1].CRN)

	contact.Deleted = false
	b.edited(contact)
	b.store(named(rearrived(1, "01-03", "01-02", house), "A000002", "")).settled()
	assert.Equal(t, []string{deliustest.PersonChanged}, b.causes())
	assert.NotContains(t, b.Contacts()[1].Notes, "Arrival date: 02/01/2024")
	assert.Equal(t, on("01-02"), b.Addresses()[1].Start, "everything else of the person goes on")
}
