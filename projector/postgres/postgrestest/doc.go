// Package postgrestest runs a private PostgreSQL with a stand-in for Delius in it, for
// tests and the sandbox. Nothing has to be set up: it uses the server binaries that
// the system's packages installed, and says what to install where there are none.
//
// # In tests
//
// A package's tests share one cluster, started by the first test that needs it. Each
// test has a database of its own, a copy of one that holds the stand-in Delius and
// whatever else the package prepares once:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m, postgrestest.Granted(postgres.Grants, postgres.Migrate))) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		db := postgrestest.New(t)
//		id, err := db.AddOffender(t.Context(), "A123456", "")
//		…
//	}
//
// The first call takes about a second, each further one about a fiftieth. A test that
// kills the server starts a [Cluster] of its own with [Run].
//
// # The cluster
//
// It listens on 127.0.0.1 alone, asks for a random password and has no socket
// folder. PostgreSQL does not run as root: where the caller is root it runs as the
// user postgres, else nobody, on data that belongs to that user, in a folder that this
// user can reach. What PostgreSQL logs goes to a file beside the data, and into the
// error of a start that fails.
//
// It is stopped by [Cluster.Stop]. Should the process die without that, Linux
// interrupts the server; the files that are left behind are removed by the next
// process that makes a temporary cluster. A cluster in a folder of the caller's keeps
// its data and its password.
//
// # The stand-in Delius
//
// Delius is the probation service's case management system; its database belongs to
// others. [CreateDelius] makes the tables of it that CAS events are written to or
// looked up in, in schema delius, with the constraints and indexes that matter, and
// with reference data:
//
//   - the eight contact types of CAS2 and CAS3 and three that practitioners use, one of
//     them sensitive (CVIC)
//   - address types A17 (CAS3), A01, A02, A07, and statuses M (main), P (previous) and
//     others; their codes stand in another code set too, so a look-up has to name the set
//   - providers N03, N07 and N50 to N59, each with three teams: homelessness prevention
//     (the provider's code and HPT, except N58XXX and N59N59), unallocated (UAT) and an
//     ordinary one (T01)
//   - three members of staff for each provider: U000, nobody, in team UAT; A001 in T01
//     and the homelessness prevention team; A002 in T01 alone
//   - the users Cas2AndDelius and Cas3AndDelius and one practitioner
//
// Ids made here begin at 2,500,000,001, as wide as real ones, so that they neither fit
// 32 bits nor meet ids that a test chooses. A row may leave out every column that is
// not needed to make sense of it. No index keeps two contacts from having one external
// reference.
//
// [Delius] adds people, edits contacts and addresses as practitioners do (row locked,
// version counted up, their name and the time left on it; unlike the real application
// it writes no audit of that), and lists contacts, addresses and the audit with codes
// in place of ids, in an order that does not depend on ids, so that two databases can
// be compared row by row.
package postgrestest
