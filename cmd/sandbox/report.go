package main

import (
	"fmt"
	"strings"

	"casdelius/projector/inspect"
)

// shown is how many differences a report tells in full.
const shown = 20

// report says how it went.
func (st *stage) report(end snapshot, f findings) string {
	s := st.story
	var b strings.Builder
	fmt.Fprintf(&b, "%d people, %d events in %d messages: %d came twice, %d late; %d changes by hand; %d person events, %d of them of merges",
		len(s.people), s.events, end.sent, end.sent-s.events, s.late, len(s.visits), s.wakeUps, s.merges)
	if s.withheld.Staff != "" {
		fmt.Fprintf(&b, "; %d contacts waited for %s to join", st.waited, s.withheld.Staff)
	}
	fmt.Fprintf(&b, "\nprojected in %s, %.0f events/s; freshness p50 %s, p99 %s from stream to commit\n",
		end.elapsed, float64(s.events)/end.elapsed.Seconds(), brief(end.p50), brief(end.p99))
	fmt.Fprintf(&b, "others were told of %d changes of address rows in %d notices, and read each row again\n", f.told, end.notices)
	fmt.Fprintf(&b, "compared with the reference: %d contacts, %d addresses, %d parked: %d differences\n",
		f.contacts, f.addresses, f.parked, len(f.differences))
	fmt.Fprintf(&b, "that is with the deleted ones, %s and %s, which the counts of a run leave out\n",
		inspect.Count(f.deletedContacts, "contact"), inspect.Count(f.deletedAddresses, "address"))
	for i, difference := range f.differences {
		if i == shown {
			fmt.Fprintf(&b, "  and %d more\n", len(f.differences)-shown)
			break
		}
		fmt.Fprintf(&b, "  %s\n", difference)
	}
	return b.String()
}
