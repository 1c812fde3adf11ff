package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"casdelius/cmd/internal/command"
	"casdelius/projector/inspect"
	"casdelius/projector/verify"
	"casdelius/store"
)

// verifyReport tells people what a verification found: damage first, then what people edited, what
// a repair did to each, and what to type next. Machines are told of each finding as it is found.
type verifyReport struct {
	command *verifyCommand
	page    *command.Page
	lines   *bufio.Writer // with --json

	damaged, edited, left []verify.Finding
}

func newVerifyReport(out *command.Output, c *verifyCommand) *verifyReport {
	return &verifyReport{command: c, page: command.NewPage(out), lines: bufio.NewWriter(out)}
}

// finding takes note of what was found.
func (r *verifyReport) finding(f verify.Finding) error {
	switch {
	case r.command.JSON:
		return json.NewEncoder(r.lines).Encode(inspect.FindingOf("finding", &f))
	case f.Severity == verify.Edited:
		r.edited = append(r.edited, f)
	default:
		r.damaged = append(r.damaged, f)
	}
	return nil
}

// leftover takes note of damage that a repair left.
func (r *verifyReport) leftover(f verify.Finding) error {
	if r.command.JSON {
		return json.NewEncoder(r.lines).Encode(inspect.FindingOf("left", &f))
	}
	r.left = append(r.left, f)
	return nil
}

// end tells all of it, also where the verification ended with an error.
func (r *verifyReport) end(v verify.Verdict, failed error) error {
	if r.command.JSON {
		if failed == nil {
			failed = json.NewEncoder(r.lines).Encode(inspect.VerdictOf(v))
		}
		if flushed := r.lines.Flush(); failed == nil {
			failed = flushed
		}
		return failed
	}
	for i := range r.damaged {
		r.show(command.Red, &r.damaged[i])
	}
	for i := range r.edited {
		r.show(command.Yellow, &r.edited[i])
	}
	if failed == nil {
		r.repaired(v)
		r.unaccepted()
		r.total(v)
		r.next(v)
	}
	return r.page.Flush()
}

func (r *verifyReport) show(style command.Style, f *verify.Finding) {
	r.line(style, sentence(f))
	for _, d := range f.Differences {
		if !strings.Contains(d.Was+d.Is, "\n") {
			r.page.Line(command.Plain, "    ", fmt.Sprintf("%s: was %q, is %q", d.Field, d.Was, d.Is))
			continue
		}
		r.page.Line(command.Plain, "    ", d.Field+":")
		printDifference(r.page, "      ", d.Field, d.Was, d.Is)
	}
}

// line shows a sentence, whose first word stands in a column of its own.
func (r *verifyReport) line(style command.Style, sentence string) {
	const column = 9
	r.page.Line(style, sentence[:column], sentence[column:])
}

// repaired tells of each damage what a repair did about it.
func (r *verifyReport) repaired(v verify.Verdict) {
	if !r.command.Repair {
		return
	}
	for i := range r.damaged {
		f := &r.damaged[i]
		same := func(l verify.Finding) bool {
			return l.Place == f.Place && l.Row == f.Row && l.Sequence == f.Sequence && l.URN == f.URN
		}
		failed := func(u verify.Unseen) bool { return u.Referral == f.Referral && u.Referral != (store.Referral{}) }
		if !slices.ContainsFunc(r.left, same) && !slices.ContainsFunc(v.Unseen, failed) {
			r.line(command.Green, fmt.Sprintf("repaired %s: %s", subject(f), mended(f)))
		}
	}
	for i := range r.left {
		r.line(command.Red, fmt.Sprintf("left     %s %s: %s", subject(&r.left[i]), predicate(&r.left[i]), remedy(&r.left[i])))
	}
}

// unaccepted names what --accept-loss was given for and is no damage of the stream.
func (r *verifyReport) unaccepted() {
	ranges, _ := r.command.accepted() // it was looked at before
	for i, text := range r.command.AcceptLoss {
		within := func(f verify.Finding) bool {
			return f.Place == verify.InStream && ranges[i].From <= f.Sequence && f.Sequence <= ranges[i].To
		}
		if !slices.ContainsFunc(r.damaged, within) {
			r.page.Line(command.Yellow, "", fmt.Sprintf("--accept-loss %s: nothing was accepted, as the stream has lost no message there", text))
		}
	}
}

// mended is what a repair did.
func mended(f *verify.Finding) string {
	switch f.Problem {
	case verify.Corrupt:
		return "its loss was accepted"
	case verify.Missing:
		return "read from the stream into the inbox"
	case verify.Unapplied, verify.Unnamed, verify.Unwritten:
		return "its person was reconciled"
	case verify.Gone:
		if f.Place == verify.InStream {
			return "its loss was accepted"
		}
		return "written again"
	case verify.Twice:
		return "marked as deleted"
	case verify.Unknown:
		return "taken as it stands"
	case verify.Lost:
		return "the lost event was forgotten, and the row is what the others make"
	case verify.Altered:
		if f.Place == verify.InInbox {
			return "taken from the stream again"
		}
		return "written back as the projector had left it"
	case verify.Extra, verify.EditedByHand: // which no repair touches
	}
	return "it is gone"
}

func (r *verifyReport) total(v verify.Verdict) {
	after := ""
	if r.command.Repair {
		after = fmt.Sprintf(", %s not repaired", inspect.Number(v.Left))
	}
	r.page.Line(command.Bold, "", fmt.Sprintf("%s, %s and %s checked: %s edited, %s damaged%s.", inspect.Count(v.Messages, "message"),
		inspect.Count(v.Contacts, "contact"), inspect.Count(v.Addresses, "address"), inspect.Number(v.Edited), inspect.Number(v.Damaged), after))
}

// next is what to type next.
func (r *verifyReport) next(v verify.Verdict) {
	if r.command.Repair || v.Damaged == 0 {
		return
	}
	repair := "projector verify --repair"
	for _, crn := range r.command.CRN {
		repair += " --crn " + strings.ToUpper(crn)
	}
	inStream := func(f verify.Finding) bool { return f.Place == verify.InStream }
	if !slices.ContainsFunc(r.damaged, func(f verify.Finding) bool { return !inStream(f) }) {
		at := slices.IndexFunc(r.damaged, inStream)
		r.page.Line(command.Plain, "next: ", fmt.Sprintf("restore the stream from its backup, or %s --accept-loss %d", repair, r.damaged[at].Sequence))
		return
	}
	r.page.Line(command.Plain, "next: ", repair)
}

// sayUnseen says what could not be looked at.
func sayUnseen(w io.Writer, unseen []verify.Unseen) {
	for _, u := range unseen {
		what := fmt.Sprintf("message %d", u.Sequence)
		switch {
		case u.Row != 0:
			what = fmt.Sprintf("%s %d", u.Place, u.Row)
		case u.Sequence == 0:
			what = "referral " + u.Referral.String()
		}
		fmt.Fprintf(w, "unseen   %s: %s\n", what, u.Problem)
	}
}

// sentence says what was found to a person.
func sentence(f *verify.Finding) string {
	text := fmt.Sprintf("%-8s %s %s", f.Severity, subject(f), predicate(f))
	if f.CRN != "" {
		text += ", " + f.CRN
	}
	if f.Severity == verify.Edited {
		text += fmt.Sprintf(", by %s on %s", f.By, command.London(f.At))
	}
	return text
}

func subject(f *verify.Finding) string {
	switch f.Place {
	case verify.InContacts:
		return fmt.Sprintf("contact %d (%s)", f.Row, f.URN)
	case verify.InAddresses:
		return fmt.Sprintf("address %d", f.Row)
	}
	switch {
	case f.URN != "":
		return "contact " + f.URN
	case f.Event != (store.Key{}):
		return fmt.Sprintf("message %d, %s", f.Sequence, f.Event)
	case f.Person != (store.PersonKey{}):
		return fmt.Sprintf("message %d, %s", f.Sequence, f.Person)
	}
	return fmt.Sprintf("message %d", f.Sequence)
}

func predicate(f *verify.Finding) string {
	switch f.Problem {
	case verify.Corrupt:
		return "of the stream is corrupt: its body is not what its checksum says"
	case verify.Missing:
		return "is not in the inbox"
	case verify.Extra:
		return "is in the inbox but not in the stream"
	case verify.Unapplied:
		return "was never applied, and nobody meant to"
	case verify.Unnamed:
		return "names a person that the inbox has forgotten"
	case verify.Unwritten:
		return "is not in the ledger although its events were applied"
	case verify.Gone:
		if f.Place == verify.InStream {
			return "is gone from the stream"
		}
		return "is gone from Delius"
	case verify.Unknown:
		return "is in the ledger without a fingerprint"
	case verify.Lost:
		return "was made of an event that the stream does not have: nothing is written for its person"
	case verify.Twice:
		return "is a second row beside the projector's own"
	case verify.EditedByHand:
		return "was edited"
	}
	if f.Place == verify.InInbox {
		return "is in the inbox otherwise than in the stream"
	}
	return "was altered without a new version or time"
}

// remedy says what to do about damage that a repair leaves.
func remedy(f *verify.Finding) string {
	if f.Place == verify.InStream {
		return "restore the stream from its backup, or accept the loss with --accept-loss"
	}
	if f.Problem == verify.Extra {
		return "because nothing else may have it: restore the stream if it has lost messages, else remove it from schema projection"
	}
	return "its rows may be locked: verify again"
}
