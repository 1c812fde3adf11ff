// Package deliustest is a second opinion on what must stand in Delius: a [Twin], a
// Delius in memory that folds, merges and writes one person after another, in the
// plainest way that is still obviously right. Tests and the sandbox hold the real
// projector against it.
//
// It shares nothing with the projector but the vocabulary of package store, and it
// trades speed for plainness everywhere: every look at a person folds the person's
// whole history anew.
//
// # How a look at a person goes
//
//	events of the person's referrals
//	  → per URN     fold → what the contact must show → three-way merge with its row
//	  → per booking stay → whose row it has, or takes over → claims → status and end
//
// A referral belongs to the person that its latest event with a CRN names, else its
// latest with a NOMS number. What a reference of a contact does not find parks that
// contact and nothing else. An event whose detail is unusable counts as not there.
//
// For every row that it owns the twin remembers what it last applied, so that a
// practitioner's edit is told from its own writing: a field changes only when what
// its events say changes. For every address row, its own or not, it remembers the
// status and end date that it last wrote.
//
// # Where the rules leave a choice
//
// Text:
//   - Text is normalised before it is written, not only before it is compared: line
//     ends are \n, no line ends in white space, the text does not end in a newline.
//   - Text that is not UTF-8 is no JSON. A null among the status details has no label.
//   - Where the notes of a row are merged and nothing is desired any more, the lines
//     that were applied go without leaving an empty line.
//   - A departure's premises are used (to find a row that stood before the first
//     event), so one of a wrong JSON type makes the detail unusable.
//
// Contacts:
//   - An adopted row whose officer was applied as a recorder counts as untouched if it
//     shows that recorder's codes; one applied as the manager if it shows what it
//     showed at adoption.
//   - Lines of a row are used up only by an event whose text is found whole.
//   - A soft-deleted row is adopted only by a contact that is not in the ledger. One that
//     had another row had left this one behind, on its way to another person perhaps, and
//     what practitioners had to delete then must not be missing when it returns.
//   - A contact whose row was soft-deleted when it was last looked at, and is gone
//     altogether since, stays away while its events want the same of it.
//
// Addresses:
//   - A person of whom no stay claims an address and of whom no row was ever written is
//     left alone, however many main addresses practitioners gave them.
//   - An end that was a practitioner's remains theirs when only the status beside it, or
//     another field of the row, is written: the memory says whose end it is.
//   - A departure that changes overrides any status and end that the row does not have
//     from us, whether we ever wrote the row or not; so does a new main address
//     elsewhere for a row at M. A stay's row without an end then gets its departure.
//   - Where a stay looks for a row that stands there, one that also ends on the stay's
//     departure comes before all others, so that two stays at one place from one day
//     find their own rows again without a ledger.
//   - A row is open to be found by elimination if it had no end before we first wrote
//     one: an end that we gave because the person moved on hides nothing. Bookings whose
//     events name a place choose before those that take the person's only open row,
//     each in the order of the first arrival with an address, else of the first event.
//     The place is that of the latest arrival that names one, else of the latest
//     departure that does.
//   - A soft-deleted row is likewise no row for a stay that has one in the ledger, nor one
//     that we wrote before: it was another stay's, or this one's in another life. But a
//     row that was found by elimination can be found again.
//   - While the row of a stay is on somebody who is no longer the person of the booking,
//     it keeps there the departure that was applied to it.
//   - The postcode of an event is compared as it would stand in the row, cut to 8
//     characters, so that a row of our own is found again.
package deliustest
