package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
)

// findings are what a comparison came to.
type findings struct {
	contacts, addresses, parked int // compared
	deletedContacts             int // of these: what is shown while it runs does not count them
	deletedAddresses            int // likewise
	told                        int // changes of address rows that others were told of
	differences                 []string
}

// compare holds every contact and every address in Delius, and what is parked, against
// the reference.
func (st *stage) compare(ctx context.Context) (findings, error) {
	var f findings
	contacts, err := st.system.delius.Contacts(ctx)
	if err != nil {
		return f, err
	}
	addresses, err := st.system.delius.Addresses(ctx)
	if err != nil {
		return f, err
	}
	n, err := st.snapshot(ctx)
	if err != nil {
		return f, err
	}
	f.contacts, f.addresses = len(contacts), len(addresses)
	for i := range contacts {
		if contacts[i].SoftDeleted {
			f.deletedContacts++
		}
	}
	for i := range addresses {
		if addresses[i].SoftDeleted {
			f.deletedAddresses++
		}
	}
	f.against("contact", keyed(contacts, contactKey), keyed(referenceContacts(st.story.reference), contactKey))
	f.against("address", keyed(addresses, addressKey), keyed(referenceAddresses(st.story.reference), addressKey))

	stored := 0 // of the story's messages: canaries are none of them
	for m, err := range st.system.log.Read(ctx, 0, 0) {
		if err != nil {
			return f, err
		}
		if m.Canary == nil {
			stored++
		}
	}
	f.count("events and person events in the stream", stored, st.story.events+st.story.wakeUps)
	f.count("rejected messages", n.rejected, 0)
	f.count("messages in the dead-letter queue", n.dead.Visible+n.dead.InFlight, 0)
	audited, err := st.audited(ctx)
	if err != nil {
		return f, err
	}
	f.count("new contacts in the audit", audited, len(contacts))

	parked := map[string]int{}
	for _, p := range st.story.reference.Parked() {
		parked[p.Cause]++
	}
	for cause, p := range n.Parked {
		f.parked += p.Count
		f.count("parked as "+cause, p.Count, parked[cause])
		delete(parked, cause)
	}
	for _, cause := range slices.Sorted(maps.Keys(parked)) {
		f.count("parked as "+cause, 0, parked[cause])
	}
	changes, err := st.system.delius.AddressChanges(ctx)
	if err != nil {
		return f, err
	}
	f.told = len(changes)
	f.differences = append(f.differences, st.record.differences(changes)...)
	f.count("values of people's that events replaced", n.Conflicts, len(st.story.reference.Conflicts()))
	return f, nil
}

// audited is how many new contacts the audit has: every contact here is one of ours.
func (st *stage) audited(ctx context.Context) (count int, err error) {
	all, err := st.system.delius.Interactions(ctx)
	for _, one := range all {
		if one.Code == "CLBI003" {
			count++
		}
	}
	return count, err
}

// count compares two numbers.
func (f *findings) count(what string, have, want int) {
	if have != want {
		f.differences = append(f.differences, fmt.Sprintf("%s: %d, by the reference %d", what, have, want))
	}
}

// against compares rows that have the same key.
func (f *findings) against(what string, have, want map[string]fields) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if _, ok := have[key]; !ok {
			f.differences = append(f.differences, fmt.Sprintf("%s %s is missing in Delius:%s", what, key, want[key].list("-")))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		expected, ok := want[key]
		if !ok {
			f.differences = append(f.differences, fmt.Sprintf("%s %s should not be in Delius:%s", what, key, have[key].list("+")))
			continue
		}
		var lines strings.Builder
		for i, field := range have[key] {
			if field != expected[i] {
				fmt.Fprintf(&lines, "\n    - %s\n    + %s", expected[i], field)
			}
		}
		if lines.Len() > 0 {
			f.differences = append(f.differences, fmt.Sprintf("%s %s (- the reference, + Delius):%s", what, key, lines.String()))
		}
	}
}

// fields are those of a row as text, in a fixed order.
type fields []string

// list shows all that say something.
func (f fields) list(mark string) string {
	var b strings.Builder
	for _, field := range f {
		if !strings.HasSuffix(field, ": ") {
			b.WriteString("\n    " + mark + " " + field)
		}
	}
	return b.String()
}

// keyed are rows by their key, without what depends on when they were written; rows of
// one key are numbered.
func keyed[R interface{ Portable() R }](rows []R, key func(R) string) map[string]fields {
	byKey := map[string][]fields{}
	for _, row := range rows {
		byKey[key(row)] = append(byKey[key(row)], fieldsOf(reflect.ValueOf(row.Portable())))
	}
	all := make(map[string]fields, len(rows))
	for key, same := range byKey {
		slices.SortFunc(same, func(a, b fields) int { return slices.Compare(a, b) })
		for i, row := range same {
			if i > 0 {
				key = fmt.Sprintf("%s (%d)", key, i+1)
			}
			all[key] = row
		}
	}
	return all
}

// fieldsOf writes the fields of a row as text.
func fieldsOf(row reflect.Value) (all fields) {
	for _, field := range reflect.VisibleFields(row.Type()) {
		if field.Anonymous {
			continue // its own fields follow
		}
		switch value := row.FieldByIndex(field.Index).Interface().(type) {
		case time.Time:
			all = append(all, field.Name+": "+instant(value))
		case string:
			all = append(all, field.Name+": "+text(value))
		default:
			all = append(all, fmt.Sprintf("%s: %v", field.Name, value))
		}
	}
	return all
}

func instant(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.UTC().Format(time.DateOnly)
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func text(s string) string {
	if strings.ContainsAny(s, "\n\r\t") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func contactKey(c postgrestest.Contact) string { return c.CRN + " " + c.ExternalReference }

func addressKey(a postgrestest.Address) string {
	return strings.Join([]string{a.CRN, instant(a.Start), cmp.Or(a.StreetName, "?"), cmp.Or(a.Postcode, "?")}, " ")
}

// referenceContacts are the reference's contacts as rows of Delius.
func referenceContacts(t *deliustest.Twin) (rows []postgrestest.Contact) {
	for _, c := range t.Contacts() {
		rows = append(rows, postgrestest.Contact{
			CRN: string(c.CRN), Type: c.Type,
			Officer:           postgrestest.Officer{Provider: c.Provider, Team: c.Team, Staff: c.Staff},
			TrustProviderTeam: c.Team, ExternalReference: c.URN,
			Description: c.Description, Notes: c.Notes, Date: c.Date, StartTime: c.Start,
			Sensitive: c.Sensitive, SoftDeleted: c.Deleted,
			CreatedBy: user(c.CreatedBy), UpdatedBy: user(c.UpdatedBy),
		})
	}
	return rows
}

// referenceAddresses are the reference's addresses as rows of Delius.
func referenceAddresses(t *deliustest.Twin) (rows []postgrestest.Address) {
	for _, a := range t.Addresses() {
		rows = append(rows, postgrestest.Address{
			CRN: string(a.CRN), Type: a.Type, Status: a.Status,
			BuildingName: a.Building, StreetName: a.Street, District: a.District,
			TownCity: a.Town, County: a.County, Postcode: a.Postcode, Start: a.Start, End: a.End,
			NoFixedAbode: a.NoFixedAbode, TypeVerified: a.Verified, SoftDeleted: a.Deleted,
			CreatedBy: user(a.CreatedBy), UpdatedBy: user(a.UpdatedBy),
		})
	}
	return rows
}

// user is the user of Delius whom the reference means.
func user(name string) string {
	if name == deliustest.Practitioner {
		return postgrestest.Practitioner
	}
	return name
}
