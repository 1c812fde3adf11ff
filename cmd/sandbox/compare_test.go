package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres/postgrestest"
)

func rows(of ...postgrestest.Contact) map[string]fields { return keyed(of, contactKey) }

func TestTheComparisonNamesEveryDifference(t *testing.T) {
	t.Parallel()
	same := postgrestest.Contact{CRN: "A000001", ExternalReference: "urn:same", Notes: "a\nb", StartTime: noon}
	written := same
	written.ID, written.RowVersion, written.Created, written.Updated = 7, 3, noon, noon
	changed := same
	changed.Notes, changed.StartTime = "a\nc", noon.Add(time.Microsecond)
	missing := postgrestest.Contact{CRN: "A000002", ExternalReference: "urn:missing"}
	extra := postgrestest.Contact{CRN: "A000003", ExternalReference: "urn:extra"}

	var f findings
	f.against("contact", rows(written), rows(same))
	require.Empty(t, f.differences, "when a row was written makes no difference")

	f.against("contact", rows(changed, extra), rows(same, missing))
	f.count("rejected messages", 2, 0)
	f.count("events", 5, 5)
	require.Len(t, f.differences, 4)
	require.Contains(t, f.differences[0], "contact A000002 urn:missing is missing in Delius:")
	require.Equal(t, "contact A000001 urn:same (- the reference, + Delius):"+
		"\n    - Notes: \"a\\nb\"\n    + Notes: \"a\\nc\""+
		"\n    - StartTime: 2026-01-01T12:00:00Z\n    + StartTime: 2026-01-01T12:00:00.000001Z", f.differences[1])
	require.Contains(t, f.differences[2], "contact A000003 urn:extra should not be in Delius:")
	require.Equal(t, "rejected messages: 2, by the reference 0", f.differences[3])
}

func TestRowsOfOneKeyAreAllCompared(t *testing.T) {
	t.Parallel()
	one := postgrestest.Contact{CRN: "A000001", ExternalReference: "urn:twice", Notes: "one"}
	two := one
	two.Notes = "two"
	var f findings
	f.against("contact", rows(one, two), rows(two, one))
	require.Empty(t, f.differences, "in any order")
	f.against("contact", rows(one, two), rows(one))
	require.Len(t, f.differences, 1)
	require.Contains(t, f.differences[0], "urn:twice (2) should not be in Delius")
}

func TestAReportTellsTheFirstDifferences(t *testing.T) {
	t.Parallel()
	st := &stage{story: &story{}}
	f := findings{contacts: 2}
	for range shown + 2 {
		f.differences = append(f.differences, "one")
	}
	report := st.report(snapshot{elapsed: time.Second}, f)
	require.Contains(t, report, "2 contacts, 0 addresses, 0 parked: 22 differences\n")
	require.Contains(t, report, "  and 2 more\n")
}
