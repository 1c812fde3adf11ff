package command

import (
	"time"

	"casdelius/store"
)

// London is a time as people read it, to the minute, with its zone; a dash for none.
func London(t time.Time) string { return inLondon(t, "2 Jan 2006 15:04 MST") }

// LondonSeconds is London to the second, where several things happen within a minute.
func LondonSeconds(t time.Time) string { return inLondon(t, "2 Jan 2006 15:04:05 MST") }

func inLondon(t time.Time, layout string) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(store.London()).Format(layout)
}
