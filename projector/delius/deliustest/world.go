package deliustest

import (
	"maps"
	"slices"

	"casdelius/store"
)

// World is the part of Delius that the projector only reads.
type World struct {
	Offenders    []Offender
	Managers     []Manager
	Providers    []string // codes
	Teams        []Team
	Staff        []Staff
	ContactTypes []ContactType
}

// Offender is a person.
type Offender struct {
	ID          int64
	CRN         store.CRN
	NOMS        store.NOMS
	SoftDeleted bool
	MergedInto  store.CRN // of one who is soft-deleted: what the latest MTCRN says
}

// Manager is the officer that a person was allocated to. Of several that are active
// the one with the highest id counts.
type Manager struct {
	ID, OffenderID        int64
	Provider, Team, Staff string // codes
	Active, SoftDeleted   bool
}

// Team belongs to one provider.
type Team struct{ Code, Provider string }

// Staff is a member of staff with the codes of their teams. Whoever is in no team of
// the contact's is named in it all the same.
type Staff struct {
	Code  string
	Teams []string
}

// ContactType is one of r_contact_type.
type ContactType struct {
	Code      string
	Sensitive bool
}

// Causes of parking.
const (
	BadDetail           = "bad-detail"
	BadAddress          = "bad-address"
	PersonNotFound      = "person-not-found"
	PersonAmbiguous     = "person-ambiguous"
	PersonChanged       = "person-changed"
	ManagerNotFound     = "manager-not-found"
	ProviderNotFound    = "provider-not-found"
	TeamNotFound        = "team-not-found"
	StaffNotFound       = "staff-not-found"
	ContactTypeNotFound = "contact-type-not-found"
)

// reference holds the world for looking things up.
type reference struct {
	offenders    map[int64]Offender
	byNOMS       map[store.NOMS]map[int64]bool
	byCRN        map[store.CRN]int64
	managers     map[int64][]Manager // by offender
	providers    map[string]bool
	teams        map[Team]bool
	staff        map[string]bool
	contactTypes map[string]ContactType
}

func newReference() reference {
	return reference{
		offenders: map[int64]Offender{}, byNOMS: map[store.NOMS]map[int64]bool{}, byCRN: map[store.CRN]int64{},
		managers: map[int64][]Manager{}, providers: map[string]bool{}, teams: map[Team]bool{},
		staff: map[string]bool{}, contactTypes: map[string]ContactType{},
	}
}

// AddOffender adds a person, or replaces the one with the same id.
func (t *Twin) AddOffender(o Offender) {
	w := &t.world
	if old, ok := w.offenders[o.ID]; ok {
		delete(w.byCRN, old.CRN)
		delete(w.byNOMS[old.NOMS], old.ID)
	}
	w.offenders[o.ID] = o
	w.byCRN[o.CRN] = o.ID
	if o.SoftDeleted {
		return
	}
	if w.byNOMS[o.NOMS] == nil {
		w.byNOMS[o.NOMS] = map[int64]bool{}
	}
	w.byNOMS[o.NOMS][o.ID] = true
}

// SetManager adds an allocation, or replaces the one with the same id.
func (t *Twin) SetManager(m Manager) {
	all := slices.DeleteFunc(t.world.managers[m.OffenderID], func(o Manager) bool { return o.ID == m.ID })
	t.world.managers[m.OffenderID] = append(all, m)
}

// AddProvider adds a provider by its code.
func (t *Twin) AddProvider(code string) { t.world.providers[code] = true }

// AddTeam adds a team.
func (t *Twin) AddTeam(team Team) { t.world.teams[team] = true }

// AddStaff adds a member of staff.
func (t *Twin) AddStaff(s Staff) { t.world.staff[s.Code] = true }

// AddContactType adds a contact type.
func (t *Twin) AddContactType(c ContactType) { t.world.contactTypes[c.Code] = c }

// people lists everyone who is not soft-deleted, by id.
func (w *reference) people() []Offender {
	var all []Offender
	for _, id := range slices.Sorted(maps.Keys(w.offenders)) {
		if o := w.offenders[id]; !o.SoftDeleted {
			all = append(all, o)
		}
	}
	return all
}

// person finds who an identity names, or the cause of parking.
func (w *reference) person(who identity) (Offender, string) {
	if who.crn != "" {
		if o, ok := w.names(who.crn); ok {
			return o, ""
		}
		return Offender{}, PersonNotFound
	}
	ids := slices.Collect(maps.Keys(w.byNOMS[who.noms]))
	switch {
	case who.noms == "" || len(ids) == 0:
		return Offender{}, PersonNotFound
	case len(ids) > 1:
		return Offender{}, PersonAmbiguous
	}
	return w.offenders[ids[0]], ""
}

// codes are provider, team and staff of a contact: one field.
type codes struct{ provider, team, staff string }

func (c codes) String() string { return c.provider + "/" + c.team + "/" + c.staff }

// officer finds provider, team and staff of an officer, or the cause of parking.
func (w *reference) officer(o officer, person Offender) (codes, string) {
	if o.kind == manager {
		return w.manager(person)
	}
	c := o.codes()
	switch {
	case !w.providers[c.provider]:
		return codes{}, ProviderNotFound
	case !w.teams[Team{Code: c.team, Provider: c.provider}]:
		return codes{}, TeamNotFound
	case !w.staff[c.staff]:
		return codes{}, StaffNotFound
	}
	return c, ""
}

// manager finds the person's active manager: of several the one with the highest id.
func (w *reference) manager(person Offender) (codes, string) {
	var best Manager
	for _, m := range w.managers[person.ID] {
		if m.Active && !m.SoftDeleted && m.ID > best.ID {
			best = m
		}
	}
	if best.ID == 0 {
		return codes{}, ManagerNotFound
	}
	return codes{best.Provider, best.Team, best.Staff}, ""
}
