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
// What comes while little waits is put into the inbox by its step itself, so that one
// transaction does it all. Where that step fails, the inbox has the message first, as ever.
//
// A person event (a merge, an unmerge, another prison number) says nothing but that: it is a
// wake-up. The inbox notes its sequence, and every referral whose events name somebody whom it
// names is marked in the same transaction, by name or through the offender who has the name.
// Nothing is folded from it, so one that is lost costs freshness only: what a step finds it
// finds in Delius as it stands.
//
// # The workers
//
// [Reconciler] is that step: the one way into Delius. Live projection, the sweep, a rebuild,
// a repair and a dry run differ only in their [Selection]. A filler is the one way into the
// inbox, and package retry the one place where something is run again after a transient error.
// Each worker declares the few methods of the database that it calls; [Ports] puts them
// together.
//
// [Live] first fills what the inbox lacks, then follows the stream. One intake fills the
// inbox and partitions the referrals among lanes by the person that they name; a lane
// reconciles whatever has piled up for it at once. Several processes may follow the same
// stream: nobody waits for a row that somebody else has locked; people who are locked are
// deferred, left due, and asked for again. A sweep looks on a schedule at whoever has been due
// for a while, and at parked contacts whose pause is over. A search looks every few minutes
// for sequences of the stream that the inbox does not have, and for events that were never
// applied. A database that was restored to an older day, or a consumer that was deleted, so
// heals without anybody's hand.
//
// [Rebuilder] fills the inbox with what it lacks of the stream, and with what it has altered;
// then it reconciles everyone whom an event names, in the order of their offender ids, and
// last the referrals whose events name nobody whom Delius knows. Several workers take a chunk
// of people each; how many are in one follows from how long the last ones took, so that no
// lock is held for much longer than 75 ms. Where few people need anything, a chunk is looked
// at on a snapshot first, and only those are locked for whom there is something to write. The
// bookmark, up to which everyone is done, is kept in a table with what it all came to: a
// rebuild that was killed goes on there, and whoever was done since is only looked at again;
// but first it takes those before the bookmark who are due, for what has come into the inbox
// since. The rebuild lock keeps a second rebuild of everyone away. A rebuild of some people
// does what is asked for them and looks at nobody else.
//
// A dry run takes the same way on a snapshot that cannot be written to, and stops
// before it would apply: what [Projector.Rebuild] plans is what it would write.
//
// Nothing that a rebuild applies is told as telemetry, nor an event that the ledger
// knows already because the inbox was lost and filled again.
//
// Each address row that a step writes is kept as a notice, by the same transaction, where the
// setting in the database says so. Package relay tells others of it after the commit.
//
// Package verify holds stream, inbox, ledger and Delius against one another, and repairs.
// Package inspect is what there is to see.
//
// # What can go wrong
//
//   - A transient error (a lock timeout, a lost connection, a deadlock): the step is run again.
//     Nobody is parked, nothing is acknowledged. An unknown commit is harmless, because looking
//     again changes nothing. What is unavailable is tried for as long as it takes; another such
//     error may be one person's after all, so a batch that meets it ten times is tried one by
//     one.
//   - A step is too slow: it locks people for a few seconds at most, and the server ends it. Half
//     of the batch is tried. Whoever is too slow alone, three times, has met an unexpected error.
//   - A practitioner has locked or has just changed a row that is to be written, or has entered
//     another address since: the person is deferred, and stays due.
//   - A contact refers to something that Delius does not have yet: that contact is
//     parked with its cause, and tried again with growing pauses. All else of the same
//     person goes on.
//   - The history lacks an event that the ledger was folded from: nothing is written for
//     that person, who stays due, and the search for gaps begins at once.
//   - An unexpected error in a batch: its referrals are reconciled one by one. Whoever
//     meets it alone stays due, is listed as failing, and is left alone for a pause that grows. While every step is
//     denied, by rights that were revoked for instance, the service is not healthy and says
//     why.
//   - A message of the stream is corrupt or gone: whoever it is of is held, nothing of theirs is
//     written, until the stream is mended or the loss accepted.
//   - A projector with a newer fold has written: this one stands back, and waits.
//   - The stream is another one than the inbox was filled from, or has lost messages:
//     the projector stops and says so. Nothing else ends it once it runs: errors that no retry
//     heals are marked as [ErrRefused].
package projector
