package delius

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"casdelius/store"
)

// Event is what one stored event says, read once and folded often.
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
}

// Premises is the address that an event names.
type Premises struct {
	Lines  Lines
	Pieces int // of the two address lines; none means that no address can be made
}

// HashOf is the hash of an event's identity by which the ledger knows it.
func HashOf(key store.Key) int64 {
	sum := key.Hash()
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // all 64 bits are wanted, whatever their sign
}

// Read reads the detail of an event of a known type. It never fails: what is wrong
// with the detail is said in Problem.
func Read(stored *store.Event, sequence uint64) *Event {
	e := &Event{
		Event:    *stored,
		Sequence: sequence,
		Hash:     HashOf(stored.Key()),
	}
	e.Body = nil
	if err := e.read(stored.Body); err != nil {
		e.Problem = err.Error()
	}
	e.Text = Normalise(e.Text)
	return e
}

func (e *Event) read(body []byte) error {
	e.At, e.Officer = e.Emitted, Officer{Kind: Manager}
	switch e.Type {
	case store.ApplicationSubmitted:
		return e.readSubmitted(body)
	case store.ApplicationStatusUpdated:
		return e.readStatus(body)
	case store.ReferralSubmitted:
		_, err := details[struct{}](body)
		return err
	case store.BookingProvisionallyMade, store.BookingConfirmed:
		return e.readBooking(body)
	case store.BookingCancelled, store.BookingCancelledUpdated:
		return e.readCancelled(body)
	case store.PersonArrived, store.PersonArrivedUpdated:
		return e.readArrived(body)
	case store.PersonDeparted, store.PersonDepartedUpdated:
		return e.readDeparted(body)
	}
	return fmt.Errorf("event type %q has no contact", e.Type)
}

// details decodes the eventDetails of a detail body. Duplicate keys were refused
// when the event came in; checking for them again would only cost.
func details[T any](body []byte) (*T, error) {
	var envelope struct {
		EventDetails *T `json:"eventDetails"`
	}
	if err := json.Unmarshal(body, &envelope, allowDuplicates); err != nil {
		return nil, fmt.Errorf("detail cannot be read: %w", err)
	}
	if envelope.EventDetails == nil {
		return nil, errors.New("detail has no eventDetails")
	}
	return envelope.EventDetails, nil
}

type recorder struct {
	StaffCode  string `json:"staffCode"`
	RegionCode string `json:"probationRegionCode"`
}

func (r *recorder) officer() Officer {
	if r == nil || trim(r.StaffCode) == "" {
		return Officer{Kind: Manager}
	}
	return Officer{Kind: Recorder, Region: trim(r.RegionCode), Staff: trim(r.StaffCode)}
}

type cohort struct {
	LongDisplayName string `json:"longDisplayName"`
}

// cohortName is how people call the cohort; older events give only the origin.
func cohortName(c *cohort, origin string) string {
	if c != nil && trim(c.LongDisplayName) != "" {
		return trim(c.LongDisplayName)
	}
	switch trim(origin) {
	case "homeDetentionCurfew":
		return "Home Detention Curfew"
	case "courtBail":
		return "Court Bail"
	case "prisonBail":
		return "Prison Bail"
	}
	return ""
}

const applicationLine = "Details of the application can be found here:"

func (e *Event) readSubmitted(body []byte) error {
	d, err := details[struct {
		ApplicationURL *string `json:"applicationUrl"`
		SubmittedAt    string  `json:"submittedAt"`
		Cohort         *cohort `json:"cohort"`
		Origin         string  `json:"applicationOrigin"`
	}](body)
	if err != nil {
		return err
	}
	if d.ApplicationURL == nil {
		return missing("applicationUrl")
	}
	if e.At, err = needed("submittedAt", d.SubmittedAt); err != nil {
		return err
	}
	e.Text = labelled(applicationLine, trim(*d.ApplicationURL))
	if name := cohortName(d.Cohort, d.Origin); name != "" {
		e.Description = Normalise("CAS2 Referral Submitted: " + name)
	}
	return nil
}

func (e *Event) readStatus(body []byte) error {
	d, err := details[struct {
		ApplicationURL *string `json:"applicationUrl"`
		UpdatedAt      string  `json:"updatedAt"`
		Cohort         *cohort `json:"cohort"`
		Origin         string  `json:"applicationOrigin"`
		NewStatus      struct {
			Label       *string `json:"label"`
			Description string  `json:"description"`
			Details     []struct {
				Label string `json:"label"`
			} `json:"statusDetails"`
		} `json:"newStatus"`
	}](body)
	if err != nil {
		return err
	}
	switch {
	case d.ApplicationURL == nil:
		return missing("applicationUrl")
	case d.NewStatus.Label == nil:
		return missing("newStatus.label")
	}
	if e.At, err = needed("updatedAt", d.UpdatedAt); err != nil {
		return err
	}
	label := trim(*d.NewStatus.Label)
	lines := []string{labelled("Application status was updated to:", label), "", labelled("Details:", trim(d.NewStatus.Description))}
	for _, detail := range d.NewStatus.Details {
		if text := trim(detail.Label); text != "" {
			lines = append(lines, "* "+text)
		}
	}
	e.Text = strings.Join(append(lines, "", labelled(applicationLine, trim(*d.ApplicationURL))), "\n")
	tier := "CAS2"
	if name := cohortName(d.Cohort, d.Origin); name != "" {
		tier += " " + name
	}
	e.Description = Normalise(tier + " Referral Updated - " + label)
	return nil
}

type provisionalBooking struct {
	Expected string    `json:"expectedArrivedAt"`
	Notes    string    `json:"notes"`
	By       *recorder `json:"bookedBy"`
}

type confirmedBooking struct {
	Expected string    `json:"expectedArrivedAt"`
	Notes    string    `json:"notes"`
	By       *recorder `json:"confirmedBy"`
}

func (e *Event) readBooking(body []byte) error {
	var d *provisionalBooking
	var err error
	if e.Type == store.BookingConfirmed {
		var confirmed *confirmedBooking
		confirmed, err = details[confirmedBooking](body)
		d = (*provisionalBooking)(confirmed)
	} else {
		d, err = details[provisionalBooking](body)
	}
	if err != nil {
		return err
	}
	expected := ""
	if trim(d.Expected) != "" {
		at, err := needed("expectedArrivedAt", d.Expected)
		if err != nil {
			return err
		}
		expected = "Expected arrival date: " + day(at)
	}
	e.Officer = d.By.officer()
	e.Text = lines(expected, trim(d.Notes))
	return nil
}

func (e *Event) readCancelled(body []byte) error {
	d, err := details[struct {
		Reason      string    `json:"cancellationReason"`
		Context     string    `json:"cancellationContext"`
		Notes       string    `json:"notes"`
		CancelledBy *recorder `json:"cancelledBy"`
	}](body)
	if err != nil {
		return err
	}
	e.Officer = d.CancelledBy.officer()
	e.Text = lines(trim(d.Reason), trim(d.Context), trim(d.Notes))
	return nil
}

type premises struct {
	Line1    string `json:"addressLine1"`
	Line2    string `json:"addressLine2"`
	Postcode string `json:"postcode"`
	Town     string `json:"town"`
	Region   string `json:"region"`
}

func (e *Event) readArrived(body []byte) error {
	d, err := details[struct {
		Premises   *premises `json:"premises"`
		ArrivedAt  string    `json:"arrivedAt"`
		Notes      string    `json:"notes"`
		RecordedBy *recorder `json:"recordedBy"`
	}](body)
	if err != nil {
		return err
	}
	if e.At, err = needed("arrivedAt", d.ArrivedAt); err != nil {
		return err
	}
	address := ""
	if d.Premises != nil {
		e.Premises = d.Premises.parse()
		if at := d.Premises.oneLine(); at != "" {
			address = "Arrival address: " + at
		}
	}
	e.Officer = d.RecordedBy.officer()
	e.Text = lines("Arrival date: "+day(e.At), address, trim(d.Notes))
	return nil
}

func (e *Event) readDeparted(body []byte) error {
	d, err := details[struct {
		Premises   *premises `json:"premises"`
		DepartedAt string    `json:"departedAt"`
		Reason     string    `json:"reason"`
		Detail     string    `json:"reasonDetail"`
		Notes      string    `json:"notes"`
		RecordedBy *recorder `json:"recordedBy"`
	}](body)
	if err != nil {
		return err
	}
	if e.At, err = needed("departedAt", d.DepartedAt); err != nil {
		return err
	}
	if d.Premises != nil {
		e.Premises = d.Premises.parse()
	}
	e.Officer = d.RecordedBy.officer()
	e.Text = lines("Departure date: "+day(e.At), trim(d.Reason), trim(d.Detail), trim(d.Notes))
	return nil
}

func needed(field, value string) (time.Time, error) {
	if trim(value) == "" {
		return time.Time{}, missing(field)
	}
	at, err := store.ParseTime(trim(value))
	if err != nil {
		return time.Time{}, fmt.Errorf("eventDetails.%s: %w", field, err)
	}
	return at, nil
}

func missing(field string) error {
	return fmt.Errorf("eventDetails.%s is missing: the contact cannot be written without it", field)
}
