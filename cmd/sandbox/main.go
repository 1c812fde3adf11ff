// Command sandbox runs the whole system on one machine, with nothing to prepare but Go
// and PostgreSQL's binaries: a NATS server, an SQS endpoint and a CAS API inside the
// process, a private PostgreSQL with a stand-in for Delius, and ingest and projector as
// they run in production. Made-up people then live through referrals, bookings, stays
// and their corrections.
//
// # What happens
//
// Everything that will happen is decided from the seed before anything starts: who
// there is, what CAS raises about them, in which order it is delivered, what comes
// twice, which details answer 404 at first, which member of staff Delius does not know
// for a while, and what practitioners change by hand. How the parts interleave is then
// up to the machine, and must not matter.
//
// # How it is judged
//
// An independent reference gets the same events and the same changes by hand, one after
// the other and in order. Once everything has been projected, every contact and every
// address in Delius is compared with it. With --once the program ends there and says by
// its exit code how that went.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }
