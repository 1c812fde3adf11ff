// Package projector makes what stands in Delius what the events of the stream say.
//
// # Who is authoritative
//
// The stream is authoritative for what CAS said, Delius for what practitioners made of
// it, and the ledger for which of the two a value in Delius is. What the projector
// writes is a function of the set of events, of what stands, and of what was last
// applied: package delius decides it, without I/O.
//
// # From a message to a row
//
//	stream → inbox → due → step → Delius
//
// A message of the stream is put into the inbox, a table with every event once. The
// transaction that puts it there marks its referral as due. A step then takes the
// people of some referrals: it locks them, loads their whole history and what stands,
// folds, compares, writes the difference and the ledger, and clears the marks that it
// had read before the history, all in one transaction. Only after that is the message
// acknowledged. An event so says no more than "look at this person again": it does not
// matter how often it comes, in which order, or with how many others.
//
// [Projector.Reconcile] is that step. Live projection, the sweep, a rebuild and a dry
// run differ only in whom they pick.
//
// # Live
//
// [Projector.Run] first fills what the inbox lacks, then follows the stream. One
// intake fills the inbox and deals the referrals out to lanes by the person that they
// name; a lane reconciles whatever has piled up for it at once. Several processes may
// follow the same stream: nobody waits for a row that somebody else has locked, people
// who cannot be had are left due, and are asked for again.
//
// A sweep looks on a schedule at whoever has been due for a while, and at parked
// contacts whose pause is over. A search looks every few minutes for sequences of the
// stream that the inbox does not have, and for events that were never applied. A
// database that was restored to an older day, or a consumer that was deleted, so heals
// without anybody's hand.
//
// # Verify
//
// [Projector.Verify] holds the stream against the inbox, and every row of the ledger
// against what the projector left there. A row whose version or time has moved since was
// edited; one that changed without that, is gone, or stands twice is damaged. A repair
// restores the inbox, and then reconciles the people concerned as always, but for one
// thing: before anything is compared the step puts their damaged rows back as they were
// left. What people had written into a row comes back with it. Only damage counts: a row
// that was edited after the projector left it is not touched. Events that the ledger was
// folded from and that not even the stream has any more are let go, so that their people
// are not left alone for ever.
//
// # Rebuild and plan
//
// [Projector.Rebuild] fills the inbox with what it lacks of the stream, and with what
// it holds altered; then it reconciles everyone whom an event names, in the order of
// their offender ids, and last the referrals whose events name nobody whom Delius
// knows. Several workers take a chunk of people each; how many are in one follows from
// how long the last ones took, so that no lock is held for much longer than 75 ms. Where
// few people need anything, a chunk is looked at on a snapshot first, and only those are
// locked for whom there is something to write. The place up to which everyone is done is
// kept in a table: a rebuild that was killed goes on there, and whoever was done since is
// only looked at again; but first it takes those before that place who are due, for what
// has come into the inbox since. An advisory lock keeps a second rebuild of everyone away.
//
// A dry run takes the same way on a snapshot that cannot be written to, and stops
// before it would apply: what [Projector.Rebuild] plans is what it would write.
//
// Nothing that a rebuild applies is told as telemetry, nor an event that the ledger
// knows already because the inbox was lost and filled again.
//
// # What can go wrong
//
//   - The moment is bad (a lock, a time limit, a lost connection, a deadlock): the step
//     is run again. Nobody is parked, nothing is acknowledged. An unknown commit is
//     harmless, because looking again changes nothing.
//   - A practitioner holds or has just changed a row that is to be written, or has entered
//     another address since: the person is put off, and stays due.
//   - A contact refers to something that Delius does not have yet: that contact is
//     parked with its cause, and tried again with growing pauses. All else of the same
//     person goes on.
//   - The history lacks an event that the ledger was folded from: nothing is written for
//     that person, who stays due, and the search for gaps begins at once.
//   - An unexpected error in a batch: its referrals are reconciled one by one. Whoever
//     meets it alone stays due, and is left alone for a pause that grows.
//   - The stream is another one than the inbox was filled from, or has lost messages:
//     the projector stops and says so.
package projector
