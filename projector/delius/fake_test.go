package delius_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

// fake is a Delius in memory that applies outcomes in the plainest way, one person
// after another. It holds the same world as a twin.
type fake struct {
	events    map[store.Key]*delius.Event
	offenders []deliustest.Offender
	managers  map[int64]delius.Posting
	refs      delius.References

	last      int64
	contacts  map[int64]*contact
	addresses map[int64]*delius.AddressRow

	appliedContacts  map[string]delius.AppliedContact
	appliedAddresses map[store.Referral]delius.AppliedAddress
	appliedTerms     map[int64]delius.AppliedTerm
	parked           map[int64][]delius.Parked
	conflicts        []delius.Conflict
}

type contact struct {
	delius.ContactRow
	Type                 string
	CreatedBy, UpdatedBy string
}

// newFake makes a fake with the world's people and references.
func newFake(w deliustest.World) *fake {
	f := &fake{
		events: map[store.Key]*delius.Event{}, offenders: w.Offenders, managers: map[int64]delius.Posting{},
		contacts: map[int64]*contact{}, addresses: map[int64]*delius.AddressRow{}, parked: map[int64][]delius.Parked{},
		refs: delius.References{
			Types: map[string]delius.ContactType{}, Providers: map[string]int64{}, Teams: map[string][]delius.Team{},
			Staff: map[string]int64{}, InTeam: map[[2]int64]bool{},
		},
	}
	f.dropLedger()
	for i, t := range w.ContactTypes {
		f.refs.Types[t.Code] = delius.ContactType{ID: int64(i + 1), Sensitive: t.Sensitive}
	}
	for i, code := range w.Providers {
		f.refs.Providers[code] = int64(i + 1)
	}
	for i, t := range w.Teams {
		f.refs.Teams[t.Code] = append(f.refs.Teams[t.Code], delius.Team{ID: int64(i + 1), ProviderID: f.refs.Providers[t.Provider]})
	}
	for i, s := range w.Staff {
		f.refs.Staff[s.Code] = int64(i + 1)
	}
	for _, m := range w.Managers {
		f.managers[m.OffenderID] = delius.Posting{Provider: m.Provider, Team: m.Team, Staff: m.Staff}
	}
	return f
}

// addOddRecorders adds whom histories name without being anywhere.
func (f *fake) addOddRecorders() {
	for _, region := range []string{"", "ZZZ"} {
		f.refs.Providers[region] = 90
		team := delius.Officer{Region: region}.Team()
		f.refs.Teams[team] = []delius.Team{{ID: 90, ProviderID: 90}}
	}
	f.refs.Staff["N50A999"] = 99
}

func (f *fake) dropLedger() {
	f.appliedContacts, f.appliedAddresses, f.appliedTerms = map[string]delius.AppliedContact{}, map[store.Referral]delius.AppliedAddress{}, map[int64]delius.AppliedTerm{}
}

// Store takes an event; the first of one identity counts.
func (f *fake) Store(e store.Event) {
	if _, there := f.events[e.Key()]; !there {
		f.events[e.Key()] = delius.Read(&e, uint64(len(f.events)+1))
	}
}

func (f *fake) number() int64 { f.last++; return f.last }

// byPerson sorts the histories by person; 0 is nobody.
func (f *fake) byPerson() map[int64][]*delius.Event {
	byReferral := map[store.Referral][]*delius.Event{}
	for _, e := range f.events {
		byReferral[e.Referral] = append(byReferral[e.Referral], e)
	}
	people := map[int64][]*delius.Event{}
	for _, events := range byReferral {
		crn, noms := delius.Identity(events)
		person := int64(0)
		for _, o := range f.offenders {
			if crn != "" && o.CRN == crn || crn == "" && noms != "" && o.NOMS == noms {
				person = o.ID
			}
		}
		people[person] = append(people[person], events...)
	}
	return people
}

// Project looks at everyone and returns how many changes there were, ledger moves
// among them.
func (f *fake) Project(now time.Time) int {
	people, count := f.byPerson(), 0
	for _, o := range f.offenders {
		count += f.project(o.ID, people[o.ID], now)
	}
	return count
}

func (f *fake) project(person int64, events []*delius.Event, now time.Time) int {
	desired := delius.Fold(events)
	out := delius.Diff(desired, f.current(person, desired), f.refs)
	if len(out.Lost) > 0 {
		panic("lost events: " + strings.Join(out.Lost, ", "))
	}
	f.parked[person] = out.Parked
	f.conflicts = append(f.conflicts, out.Conflicts...)
	for _, booking := range out.Released {
		delete(f.appliedAddresses, booking)
	}
	for _, c := range out.Changes {
		f.apply(c, now)
	}
	for _, e := range out.AppliedContacts {
		f.appliedContacts[e.URN] = e
	}
	for _, e := range out.AppliedAddresses {
		f.appliedAddresses[e.Booking] = e
	}
	for _, m := range out.AppliedTerms {
		if m.AddressID == 0 {
			m.AddressID = f.appliedAddresses[m.Booking].AddressID
		}
		f.appliedTerms[m.AddressID] = m
	}
	return len(out.Changes) + len(out.AppliedContacts) + len(out.AppliedAddresses) + len(out.AppliedTerms) + len(out.Released) + len(out.Conflicts)
}

func (f *fake) current(person int64, desired delius.Desired) delius.Current {
	have := delius.Current{Ownership: delius.Ownership{OffenderID: person}, AppliedContacts: map[string]delius.AppliedContact{}, AppliedAddresses: f.appliedAddresses, AppliedTerms: f.appliedTerms}
	if m, ok := f.managers[person]; ok {
		have.Manager = &m
	}
	urns, owned := map[string]bool{}, map[int64]bool{}
	for _, booking := range desired.Referrals {
		owned[f.appliedAddresses[booking].AddressID] = true
	}
	for _, c := range desired.Contacts {
		urns[c.URN] = true
		if e, ok := f.appliedContacts[c.URN]; ok {
			have.AppliedContacts[c.URN] = e
		}
	}
	for _, c := range f.contacts {
		if urns[c.URN] {
			have.Contacts = append(have.Contacts, c.ContactRow)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.addresses)) {
		if a := f.addresses[id]; a.OffenderID == person || owned[id] {
			have.Addresses = append(have.Addresses, *a)
		}
	}
	return have
}

func (f *fake) apply(c delius.Change, now time.Time) {
	switch c := c.(type) {
	case *delius.InsertContact:
		c.Row.ID = f.number()
		c.Applied.ContactID = c.Row.ID
		f.contacts[c.Row.ID] = &contact{c.Row, c.Kind.Code, user(c.Kind), user(c.Kind)}
		f.appliedContacts[c.Applied.URN] = c.Applied
	case *delius.UpdateContact:
		row := f.contacts[c.Row.ID]
		row.ContactRow, row.UpdatedBy = c.Row, user(c.Kind)
		row.Version++
	case *delius.InsertAddress:
		c.Row.ID, c.Row.Created = f.number(), now
		c.Applied.AddressID = c.Row.ID
		f.addresses[c.Row.ID] = &c.Row
		f.appliedAddresses[c.Applied.Booking] = c.Applied
	case *delius.UpdateAddress:
		c.Row.ByCAS3 = true
		f.addresses[c.Row.ID] = &c.Row
	}
}

func user(k *delius.Kind) string {
	if k.Service == store.CAS2 {
		return deliustest.CAS2User
	}
	return deliustest.CAS3User
}

// shown is a row as both the fake and the twin can show it.
type shown struct {
	CRN                       string
	URN, Type, Description    string
	Date, Start               string
	Officer, Notes, UpdatedBy string
	Deleted                   bool
	Address                   string
}

func (f *fake) crn(id int64) string {
	i := slices.IndexFunc(f.offenders, func(o deliustest.Offender) bool { return o.ID == id })
	return string(f.offenders[i].CRN)
}

func (f *fake) shown() []shown {
	var all []shown
	for _, c := range f.contacts {
		all = append(all, shown{
			CRN: f.crn(c.OffenderID), URN: c.URN, Type: c.Type, Description: c.Description, Date: stamp(c.Date), Start: stamp(c.Start),
			Officer: c.Posting.String(), Notes: c.Notes, UpdatedBy: c.UpdatedBy, Deleted: c.Deleted,
		})
	}
	for _, a := range f.addresses {
		l := a.Lines
		all = append(all, shown{CRN: f.crn(a.OffenderID), Deleted: a.Deleted, Address: strings.Join([]string{
			a.Status, stamp(a.Start), stamp(a.End), l.Building, l.Street, l.District, l.Town, l.County, l.Postcode,
		}, "|")})
	}
	return sorted(all)
}

func twinShown(t *deliustest.Twin) []shown {
	var all []shown
	for _, c := range t.Contacts() {
		all = append(all, shown{
			CRN: string(c.CRN), URN: c.URN, Type: c.Type, Description: c.Description, Date: stamp(c.Date), Start: stamp(c.Start),
			Officer: c.Provider + "/" + c.Team + "/" + c.Staff, Notes: c.Notes, UpdatedBy: c.UpdatedBy, Deleted: c.Deleted,
		})
	}
	for _, a := range t.Addresses() {
		all = append(all, shown{CRN: string(a.CRN), Deleted: a.Deleted, Address: strings.Join([]string{
			a.Status, stamp(a.Start), stamp(a.End), a.Building, a.Street, a.District, a.Town, a.County, a.Postcode,
		}, "|")})
	}
	return sorted(all)
}

func sorted(all []shown) []shown {
	slices.SortFunc(all, func(a, b shown) int {
		return cmp.Or(cmp.Compare(a.CRN, b.CRN), cmp.Compare(a.URN, b.URN), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	return all
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.999999")
}
