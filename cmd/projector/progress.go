package main

import (
	"fmt"

	"casdelius/cmd/internal/command"
	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/projector/verify"
)

// phase is what is done in a phase, and to what.
type phase struct {
	doing, of string
	each      string // of what there is
}

var phases = map[projector.Phase]phase{
	projector.FillingInbox: {"filling the inbox", "read into the inbox", "message"},
	projector.Reconciling:  {"reconciling people", "done", "person"},

	verify.VerifyingStream:    {"comparing the inbox with the stream", "compared", "message"},
	verify.VerifyingContacts:  {"comparing contacts with Delius", "compared", "contact"},
	verify.VerifyingAddresses: {"comparing addresses with Delius", "compared", "address"},
	verify.Repairing:          {"repairing", "repaired", "referral"},
	verify.Appending:          {"appending to the stream", "appended", "event"},
}

// meter shows how far a rebuild or a verification is.
type meter struct {
	*command.Meter
}

func newMeter(to *command.Output) *meter { return &meter{Meter: command.NewMeter(to)} }

// report shows how far it is now.
func (m *meter) report(p projector.Progress) {
	is := phases[p.Phase]
	aside := ""
	if p.Phase == projector.Reconciling {
		aside = inspect.Number(p.Changed) + " changed"
	}
	if p.Phase == projector.FillingInbox && p.Done > 0 && m.Reached().Doing != is.doing {
		m.Note("the inbox has %s of %s: the others are read now", inspect.Number(p.Done), inspect.Count(p.Total, "message"))
	}
	m.Report(command.Progress{Doing: is.doing, Unit: unit(is.each), Done: p.Done, Total: p.Total, Aside: aside})
}

func unit(each string) command.Unit {
	return command.Unit{Number: inspect.Number, Count: func(n int) string { return inspect.Count(n, each) }}
}

// reached is how far it came, for a person.
func (m *meter) reached() string {
	is := m.Reached()
	for _, p := range phases {
		if p.doing == is.Doing {
			return fmt.Sprintf("%s of %s are %s", inspect.Number(is.Done), inspect.Count(is.Total, p.each), p.of)
		}
	}
	return "nothing was done yet"
}
