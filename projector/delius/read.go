package delius

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc64"
	"strings"
	"time"

	"casdelius/store"
)

// Event is what one stored event says, made by [Read] once and folded often.
type Event struct {
	store.Event        // without its Body
	Sequence    uint64 // in the stream
	Hash        int64  // of the identity, for the ledger
	Problem     string // why the detail cannot be used; "" if it can

	At          time.Time // when it happened
	Text        string    // its own part of the notes, normalised
	Description string    // of the contact; "" for none
	Officer     Officer   // who recorded it
	Premises    Premises  // of an arrival or a departure
	Cohort      string    // of a CAS2 application, as people call it; "" for none
	Status      string    // the name of the new one of a CAS2 application, else its label

	kind *Kind // of the contact that it makes; nil for an unknown type
}

// Premises is the address that an event names.
type Premises struct {
	Lines  Lines
	Pieces int // of the two address lines; none means that no address can be made
}

var polynomial = crc64.MakeTable(crc64.ECMA)

// HashOf is the hash of an event's identity by which the ledger knows it: the CRC-64
// (ECMA-182) of referral, type, a zero byte and id. It only has to tell the few events
// of one contact apart, and nobody gains by two that are alike. Ids of one length that
// differ within eight bytes never are; a hundred random ones hold two that are once in
// 10¹⁵ contacts. It must not change: the ledger keeps it.
func HashOf(key store.Key) int64 {
	text := append(make([]byte, 0, 128), key.Referral[:]...)
	text = append(append(text, key.Type...), 0)
	text = append(text, key.ID...)
	return int64(crc64.Checksum(text, polynomial)) //nolint:gosec // all 64 bits are wanted, whatever their sign
}

// Read reads the detail of an event of a known type. It never fails: what is wrong
// with the detail is said in Problem.
func Read(stored *store.Event, sequence uint64) *Event {
	e := &Event{
		Event:    *stored,
		Sequence: sequence,
		Hash:     HashOf(stored.Key()),
		At:       stored.Emitted,
		Officer:  Officer{Kind: Manager},
		kind:     KindOf(stored.Type),
	}
	e.Body = nil
	if err := e.read(stored.Body); err != nil {
		e.Problem = err.Error()
	}
	e.Text = trimLines(e.Text)
	return e
}

func (e *Event) read(body []byte) error {
	if e.kind == nil {
		return fmt.Errorf("event type %q has no contact", e.Type)
	}
	r := readers.Get().(*reader)
	defer readers.Put(r)
	r.start(body)
	found := false
	var problem error
	for name := range r.members() {
		if string(name) != "eventDetails" {
			r.skip()
			continue
		}
		found = !r.null()
		// Whatever is missing in them is looked for when they are read whole, so that what is
		// no JSON is always said first.
		problem = e.kind.read(e, r)
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("detail cannot be read: %w", err)
	}
	switch {
	case !found:
		return errors.New("detail has no eventDetails")
	case problem == nil && !store.Plausible(e.At): // at is the timestamp: the others were looked at
		return fmt.Errorf("timestamp: date-time %q is outside the years 1900 to 9999", e.At.Format(time.RFC3339))
	}
	return problem
}

const applicationLine = "Details of the application can be found here:"

func (e *Event) readSubmitted(r *reader) error {
	var url, submittedAt, cohort, origin string
	linked := false
	for name := range r.members() {
		switch string(name) {
		case "applicationUrl":
			linked, url = !r.null(), r.text()
		case "submittedAt":
			submittedAt = r.text()
		case "cohort":
			cohort = r.only("longDisplayName")
		case "applicationOrigin":
			origin = r.text()
		default:
			r.skip()
		}
	}
	if !linked {
		return missing("applicationUrl")
	}
	var err error
	if e.At, err = needed("submittedAt", submittedAt); err != nil {
		return err
	}
	e.Text = labelled(applicationLine, url)
	e.Description = ""
	if e.Cohort = cohortName(cohort, origin); e.Cohort != "" {
		e.Description = trimLines("CAS2 Referral Submitted: " + e.Cohort)
	}
	return nil
}

func (e *Event) readStatus(r *reader) error {
	var url, updatedAt, cohort, origin string
	var s newStatus
	linked := false
	for name := range r.members() {
		switch string(name) {
		case "applicationUrl":
			linked, url = !r.null(), r.text()
		case "updatedAt":
			updatedAt = r.text()
		case "cohort":
			cohort = r.only("longDisplayName")
		case "applicationOrigin":
			origin = r.text()
		case "newStatus":
			s = r.newStatus()
		default:
			r.skip()
		}
	}
	switch {
	case !linked:
		return missing("applicationUrl")
	case !s.labelled:
		return missing("newStatus.label")
	}
	var err error
	if e.At, err = needed("updatedAt", updatedAt); err != nil {
		return err
	}
	text := append(make([]string, 0, 16), labelled("Application status was updated to:", s.label), "", labelled("Details:", s.description))
	text = append(text, s.bullets...)
	e.Text = strings.Join(append(text, "", labelled(applicationLine, url)), "\n")
	e.Status = cmp.Or(s.name, s.label)
	tier := "CAS2"
	if e.Cohort = cohortName(cohort, origin); e.Cohort != "" {
		tier += " " + e.Cohort
	}
	e.Description = trimLines(tier + " Referral Updated - " + s.label)
	return nil
}

// newStatus is what became of an application.
type newStatus struct {
	labelled                 bool
	name, label, description string // name is "" where it is no text: only telemetry has it
	bullets                  []string
}

func (r *reader) newStatus() (s newStatus) {
	for name := range r.members() {
		switch string(name) {
		case "name":
			s.name = r.optional()
		case "label":
			s.labelled, s.label = !r.null(), r.text()
		case "description":
			s.description = r.text()
		case "statusDetails":
			s.bullets = nil
			for range r.elements() {
				if label := r.only("label"); label != "" {
					s.bullets = append(s.bullets, "* "+label)
				}
			}
		default:
			r.skip()
		}
	}
	return s
}

// cohortName is how people call the cohort; older events give only the origin.
func cohortName(cohort, origin string) string {
	if cohort != "" {
		return cohort
	}
	switch origin {
	case "homeDetentionCurfew":
		return "Home Detention Curfew"
	case "courtBail":
		return "Court Bail"
	case "prisonBail":
		return "Prison Bail"
	}
	return ""
}

// readReferred keeps nothing of a detail: the contact has no text.
func (e *Event) readReferred(r *reader) error {
	for range r.members() {
		r.skip()
	}
	return nil
}

func (e *Event) readProvisional(r *reader) error { return e.readBooking(r, "bookedBy") }

func (e *Event) readConfirmed(r *reader) error { return e.readBooking(r, "confirmedBy") }

func (e *Event) readBooking(r *reader, by string) error {
	var expected, notes string
	officer := Officer{Kind: Manager}
	for name := range r.members() {
		switch string(name) {
		case "expectedArrivedAt":
			expected = r.text()
		case "notes":
			notes = r.text()
		case by:
			officer = r.officer()
		default:
			r.skip()
		}
	}
	if expected != "" {
		at, err := needed("expectedArrivedAt", expected)
		if err != nil {
			return err
		}
		expected = dated("Expected arrival date:", at)
	}
	e.Officer = officer
	e.Text = lines(expected, notes)
	return nil
}

// officer is whom an event names as its recorder.
func (r *reader) officer() Officer {
	var staff, region string
	for name := range r.members() {
		switch string(name) {
		case "staffCode":
			staff = r.text()
		case "probationRegionCode":
			region = r.text()
		default:
			r.skip()
		}
	}
	if staff == "" {
		return Officer{Kind: Manager}
	}
	return Officer{Kind: Recorder, Region: region, Staff: staff}
}

func (e *Event) readCancelled(r *reader) error {
	var reason, context, notes string
	officer := Officer{Kind: Manager}
	for name := range r.members() {
		switch string(name) {
		case "cancellationReason":
			reason = r.text()
		case "cancellationContext":
			context = r.text()
		case "notes":
			notes = r.text()
		case "cancelledBy":
			officer = r.officer()
		default:
			r.skip()
		}
	}
	e.Officer = officer
	e.Text = lines(reason, context, notes)
	return nil
}

func (e *Event) readArrived(r *reader) error {
	var where premises
	var arrivedAt, notes string
	officer := Officer{Kind: Manager}
	for name := range r.members() {
		switch string(name) {
		case "premises":
			where = r.premises()
		case "arrivedAt":
			arrivedAt = r.text()
		case "notes":
			notes = r.text()
		case "recordedBy":
			officer = r.officer()
		default:
			r.skip()
		}
	}
	var err error
	if e.At, err = needed("arrivedAt", arrivedAt); err != nil {
		return err
	}
	e.Officer, e.Premises = officer, where.parse()
	e.Text = lines(dated("Arrival date:", e.At), where.labelled("Arrival address:"), notes)
	return nil
}

func (e *Event) readDeparted(r *reader) error {
	var where premises
	var departedAt, reason, detail, notes string
	officer := Officer{Kind: Manager}
	for name := range r.members() {
		switch string(name) {
		case "premises":
			where = r.premises()
		case "departedAt":
			departedAt = r.text()
		case "reason":
			reason = r.text()
		case "reasonDetail":
			detail = r.text()
		case "notes":
			notes = r.text()
		case "recordedBy":
			officer = r.officer()
		default:
			r.skip()
		}
	}
	var err error
	if e.At, err = needed("departedAt", departedAt); err != nil {
		return err
	}
	e.Officer, e.Premises = officer, where.parse()
	e.Text = lines(dated("Departure date:", e.At), reason, detail, notes)
	return nil
}

// premises are an address, untrimmed.
type premises struct{ line1, line2, postcode, town, region string }

func (r *reader) premises() (p premises) {
	for name := range r.members() {
		switch string(name) {
		case "addressLine1":
			p.line1 = r.raw()
		case "addressLine2":
			p.line2 = r.raw()
		case "postcode":
			p.postcode = r.raw()
		case "town":
			p.town = r.raw()
		case "region":
			p.region = r.raw()
		default:
			r.skip()
		}
	}
	return p
}

func needed(field, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, missing(field)
	}
	at, err := store.ParsePlausibleTime(value)
	if err != nil {
		return time.Time{}, fmt.Errorf("eventDetails.%s: %w", field, err)
	}
	return at, nil
}

func missing(field string) error {
	return fmt.Errorf("eventDetails.%s is missing: the contact cannot be written without it", field)
}
