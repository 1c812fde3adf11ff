package deliustest

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"casdelius/store"
)

// Twin is a Delius in memory and the events that are projected into it. It is not
// safe for concurrent use.
type Twin struct {
	world     reference
	referrals map[store.Referral]*referral
	named     map[identity]map[store.Referral]bool // the referrals that name a person so

	lastRow   int64
	contacts  map[int64]*Contact
	addresses map[int64]*Address
	byURN     map[string][]*Contact
	byPerson  map[store.CRN][]*Address

	ledger    map[string]entry           // by URN
	tenancies map[store.Referral]tenancy // by booking
	owner     map[int64]store.Referral   // of an address row
	memory    map[int64]written          // of an address row

	parked     map[store.CRN][]Parked
	unresolved []Parked // of referrals that nobody is found for
	conflicts  []Conflict
}

// Parked is an event that is left out or something that waits for a reference.
type Parked struct {
	Cause    string
	CRN      store.CRN // of the person, else what the events say
	Referral store.Referral
	Subject  string     // the URN of a contact, the id of an event, or "address" for a stay
	Type     store.Type // of an event, else ""
}

// Conflict is a value of a practitioner's that an event replaced.
type Conflict struct {
	Subject  string // the URN of a contact, the booking of a stay, else "address" and the row's number
	Field    string // description, at, officer; lines, start, status
	Replaced string
}

// referral is the history of one referral.
type referral struct {
	id     store.Referral
	seen   map[store.Key]bool
	events []*event // of known types, in order
}

// identity is how events name a person: by CRN, else by NOMS number.
type identity struct {
	crn  store.CRN
	noms store.NOMS
}

// New makes a twin of this world, without contacts, addresses and events.
func New(w World) *Twin {
	t := &Twin{
		world:     newReference(),
		referrals: map[store.Referral]*referral{}, named: map[identity]map[store.Referral]bool{},
		contacts: map[int64]*Contact{}, addresses: map[int64]*Address{},
		byURN: map[string][]*Contact{}, byPerson: map[store.CRN][]*Address{},
		parked: map[store.CRN][]Parked{},
	}
	t.DropLedger()
	each(w.Offenders, t.AddOffender)
	each(w.Managers, t.SetManager)
	each(w.Providers, t.AddProvider)
	each(w.Teams, t.AddTeam)
	each(w.Staff, t.AddStaff)
	each(w.ContactTypes, t.AddContactType)
	return t
}

func each[E any](all []E, do func(E)) {
	for _, one := range all {
		do(one)
	}
}

// DropLedger forgets everything that was ever applied, as if the rows were somebody
// else's.
func (t *Twin) DropLedger() {
	t.ledger = map[string]entry{}
	t.tenancies, t.owner = map[store.Referral]tenancy{}, map[int64]store.Referral{}
	t.memory = map[int64]written{}
	t.conflicts = nil
}

// Store puts an event into the log. Of several with one identity the first counts,
// and of unknown types none has any effect.
func (t *Twin) Store(stored store.Event) {
	if !stored.Type.Known() {
		return
	}
	r, ok := t.referrals[stored.Referral]
	if !ok {
		r = &referral{id: stored.Referral, seen: map[store.Key]bool{}}
		t.referrals[r.id] = r
	}
	if r.seen[stored.Key()] {
		return
	}
	r.seen[stored.Key()] = true
	delete(t.named[r.identity()], r.id)
	r.events = append(r.events, newEvent(stored))
	slices.SortFunc(r.events, func(a, b *event) int { return a.Compare(&b.Event) })
	if t.named[r.identity()] == nil {
		t.named[r.identity()] = map[store.Referral]bool{}
	}
	t.named[r.identity()][r.id] = true
}

// identity is the CRN of the latest event that has one, else the NOMS number of the
// latest that has one.
func (r *referral) identity() (who identity) {
	for _, e := range r.events {
		who.crn = cmp.Or(e.CRN, who.crn)
		who.noms = cmp.Or(e.NOMS, who.noms)
	}
	if who.crn != "" {
		who.noms = ""
	}
	return who
}

// Project looks at every person, by offender id, and brings their rows to what their
// events say.
func (t *Twin) Project(now time.Time) {
	clear(t.parked)
	t.unresolved = nil
	for _, person := range t.world.people() {
		t.look(person, now)
	}
	for _, r := range t.inOrder(maps.Keys(t.referrals)) {
		if _, cause := t.world.person(r.identity()); cause != "" {
			t.unresolved = append(t.unresolved, r.unresolved(cause)...)
		}
	}
}

// ProjectPerson looks at one person only. Nothing happens if there is none.
func (t *Twin) ProjectPerson(crn store.CRN, now time.Time) {
	if person, cause := t.world.person(identity{crn: crn}); cause == "" {
		t.look(person, now)
	}
}

// Parked lists what was parked when each person was last looked at, sorted.
func (t *Twin) Parked() []Parked {
	all := slices.Clone(t.unresolved)
	for _, some := range t.parked {
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b Parked) int {
		return cmp.Or(
			cmp.Compare(a.CRN, b.CRN), a.Referral.Compare(b.Referral), cmp.Compare(a.Subject, b.Subject),
			cmp.Compare(a.Type, b.Type), cmp.Compare(a.Cause, b.Cause),
		)
	})
	return all
}

// Conflicts lists the values of practitioners' that events replaced, in the order in
// which that happened.
func (t *Twin) Conflicts() []Conflict { return slices.Clone(t.conflicts) }

func (t *Twin) conflict(subject, field, replaced string) {
	t.conflicts = append(t.conflicts, Conflict{subject, field, replaced})
}

// look brings one person's contacts and addresses to what their events say.
func (t *Twin) look(person Offender, now time.Time) {
	var parked []Parked
	var bookings []booking
	for _, r := range t.of(person) {
		parked = append(parked, r.unusable(person.CRN)...)
		contacts := r.contacts()
		for _, urn := range slices.Sorted(maps.Keys(contacts)) {
			if cause := t.contact(person, urn, contacts[urn]); cause != "" {
				parked = append(parked, Parked{Cause: cause, CRN: person.CRN, Referral: r.id, Subject: urn})
			}
		}
		bookings = append(bookings, r.booking())
	}
	t.parked[person.CRN] = append(parked, t.house(person, bookings, now)...)
}

// of lists the referrals of a person, by id.
func (t *Twin) of(person Offender) []*referral {
	all := map[store.Referral]bool{}
	for _, o := range t.world.offenders {
		if t.world.namesOf(o.CRN, person) {
			maps.Copy(all, t.named[identity{crn: o.CRN}])
		}
	}
	if only, cause := t.world.person(identity{noms: person.NOMS}); cause == "" && only.ID == person.ID {
		maps.Copy(all, t.named[identity{noms: person.NOMS}])
	}
	return t.inOrder(maps.Keys(all))
}

// contacts are the usable events of a referral by the URN of their contact.
func (r *referral) contacts() map[string][]*event {
	contacts := map[string][]*event{}
	for _, e := range r.events {
		if !e.bad {
			contacts[urn(e)] = append(contacts[urn(e)], e)
		}
	}
	return contacts
}

// unresolved parks every contact of a referral that nobody is found for, and lists its
// unusable events.
func (r *referral) unresolved(cause string) []Parked {
	crn := r.identity().crn
	parked := r.unusable(crn)
	for urn := range r.contacts() {
		parked = append(parked, Parked{Cause: cause, CRN: crn, Referral: r.id, Subject: urn})
	}
	return parked
}

// unusable lists the events that are left out and that nothing later makes good: for
// a bad detail a usable event of the same contact, for a bad address an arrival with
// an address.
func (r *referral) unusable(crn store.CRN) []Parked {
	usable, housed := map[string]bool{}, false
	var parked []Parked
	for _, e := range slices.Backward(r.events) {
		cause := ""
		switch {
		case e.bad && !usable[urn(e)]:
			cause = BadDetail
		case !e.bad && e.arrival() && !e.premises.hasLine() && !housed:
			cause = BadAddress
		}
		if cause != "" {
			parked = append(parked, Parked{Cause: cause, CRN: crn, Referral: r.id, Subject: e.ID, Type: e.Type})
		}
		usable[urn(e)] = usable[urn(e)] || !e.bad
		housed = housed || !e.bad && e.arrival() && e.premises.hasLine()
	}
	return parked
}

// inOrder are the referrals with these ids, by id.
func (t *Twin) inOrder(ids iter.Seq[store.Referral]) []*referral {
	var all []*referral
	for _, id := range slices.SortedFunc(ids, store.Referral.Compare) {
		all = append(all, t.referrals[id])
	}
	return all
}
