// Package delius decides what must stand in Delius for one person: which contacts, and
// where the person lives. It is pure: it reads no clock, does no I/O and keeps nothing
// from one call to the next.
//
//	[Read]  one stored event        → what its detail says, or why it says nothing
//	[Fold]  all events of a person  → what should stand: contacts and stays
//	[Diff]  that, what stands, and
//	        what was last applied   → rows to write, the ledger's moves, what is parked
//
// The result of Fold depends on the set of events alone. The order in which they came,
// duplicates and redelivery change nothing, so nobody has to keep an order: an event
// only says "look at this person again". Diff knows no removal, and the outcome of
// comparing again after the writes is empty.
//
// Three parties write to the rows: this projector, practitioners, who correct them on
// purpose, and the services that the projector replaces. The events are right about
// what happened; practitioners are right about what they changed, until an event about
// that very field says something new. The core person record, which writes addresses by
// itself and leaves type, start or county null, is one more practitioner here.
//
// # Contacts
//
// Every kind of contact is found by its URN, which ends in the referral: the
// application for the first three kinds, the booking for the others.
//
//	type  URN urn:hmpps:…                      events                       recorded by  happened at
//	EACB  cas2:application-submitted           application.submitted        manager      submittedAt
//	EACC  cas2:application-status-updated      application.status-updated   manager      updatedAt
//	EARS  cas3:application-submitted           referral.submitted           manager      timestamp
//	EABP  cas3:booking-provisionally-made      booking.provisionally-made   bookedBy     timestamp
//	EACO  cas3:booking-confirmed               booking.confirmed            confirmedBy  timestamp
//	EACA  cas3:booking-cancelled               booking.cancelled(.updated)  cancelledBy  timestamp
//	EAAR  cas3:person-arrived                  person.arrived(.updated)     recordedBy   arrivedAt
//	EADP  cas3:person-departed                 person.departed(.updated)    recordedBy   departedAt
//
// The events of one contact stand in the order of emission; at one instant a base event
// stands before an .updated, then the smaller id (by bytes). Unknown types have no
// effect: on no contact, and not on whose referral it is.
//
// A base event's text replaces the notes. Each .updated after it appends its own on new
// lines, that of an arrival below a line "Address details were updated: " with the time
// of emission. What is older than the latest base event adds nothing. While no base
// event has come the first .updated gives its text plainly and later ones append. The
// five kinds without an .updated show their latest event.
//
// The text of an event is made of parts, one a line: trimmed, blank ones left out, line
// ends \n, no NUL (PostgreSQL refuses it), no white space before a line end. Dates are
// dd/MM/yyyy in London.
//
//	EABP, EACO  "Expected arrival date: …", notes
//	EACA        cancellationReason, cancellationContext, notes
//	EAAR        "Arrival date: …", "Arrival address: …", notes
//	EADP        "Departure date: …", reason, reasonDetail, notes
//
// The arrival address is both address lines, postcode, town and region, joined with a
// space. EARS has no text. EACB and EACC are fixed templates, whose lines stay when a value
// is blank: where to find the application; and before that the status, its description
// and its details as bullets, with empty lines between. The description is the CAS2 ones' only; it names the cohort by its
// long display name, else by the application's origin. Date and start time are one field,
// from the latest event; the date is London's.
//
// The officer is one field too: provider, team and staff member change together. It is
// the [Recorder] of the latest base event (of the earliest .updated where there is none)
// or, where that names nobody, the [Manager]: the person's active manager at the moment
// of writing. The manager is a symbol, so that a new manager in Delius is no change here.
//
// # What people changed
//
// For each row of its own the projector keeps a ledger of what it last applied
// ([AppliedContact], [AppliedAddress]), field by field. Row, applied and desired are
// compared after normalising (line ends, white space at line ends, null as empty):
//
//	desired = applied   the field is left alone, whatever a person made of it
//	row = desired       only the ledger moves
//	row = applied       desired is written
//	all three differ    the events win, and the person's value is kept as a [Conflict]
//
// Notes are never won, they are merged: where what was applied still stands in them as
// whole, consecutive lines, its first occurrence is replaced; else what the events added
// to what was applied is appended; else all of it.
//
// A row that somebody deleted stays deleted until its own events want something else of
// it than was applied; then it returns, and the deletion is kept as a conflict. A row that is gone altogether is inserted again,
// unless it is a contact that the ledger knows as deleted: that stays away as long.
//
// # Contacts that stand there already
//
// A row under the URN without a ledger entry was written by a service before this one,
// or the ledger was lost. It is adopted: a live one before a deleted one (which is
// adopted as deleted), then the lowest number. Other live rows under the URN are
// reported ([ContactAlreadyExists]), never touched.
//
// What was applied to an adopted row is worked out from its notes. An event is new to it
// if the desired notes draw on the event, its text is not blank, and the lines of that
// text do not stand in the row, in their order, each line of the row used once; they need
// not stand together, because people write in between. The fold without the new events is
// looked at in the same way until nothing is new any more, so that of states that
// replaced one another the row's own is found. That fold counts as applied, and the new
// events go through the merge at once. If nothing is left nothing was applied.
//
// Events from before the stream began are missing for ever. So while no base event of an
// adopted contact has come, its officer is [Unchanged]: nothing is looked up and nothing
// written. When a base event comes after all, the row is adopted afresh; updates that we
// had appended as the first of their contact then get the line that says what they are.
//
// # Stays
//
// A booking with an arrival whose premises name an address line is a stay. Its lines and
// its start are those of its latest such arrival, its departure that of the latest
// departure; a departure before the arrival date does not end it, because the person
// arrived again or somebody mistyped. Each stay owns one row of type A17 and never touches
// another stay's. The address lines are cut into pieces of 35 characters: one or two
// become street and district; of three and more the first is the building. Each value is
// cut to its column's width.
//
// # Where the person lives
//
// The person lives where they moved last. The claims to the main address are the stays,
// but for those whose row somebody deleted, and every other live row with status M (main)
// or P (previous); one that is P without an end is none, unless we wrote that. They are sorted by start, none first; then by when
// they became known, a stay when its first usable arrival was emitted, another row when
// it was created; stays before other rows; then by booking or row number. The start is
// the one that will stand in the row: a practitioner's correction counts.
//
// A claim with an end of its own is P with that end. One without ends where the next
// begins, as P; the last, if it has none, is M. A late or corrected arrival so puts all
// the other ends right again. Of rows that are no stay's only status and end are ever
// written, and where no stay claims anything and no row was ever written, nothing is.
//
// Status and end move together. What we last wrote of them is kept for each row ([AppliedTerm]).
// Only a write moves it. It decides whose they are:
//
//   - A row that still is as we left it follows the claims. Its own end is the stay's
//     departure; another row has none.
//   - A row that we left otherwise was set by a person. It stands; its end is its own.
//   - A row that we never wrote follows if it is M without an end, or if the older
//     service updated it last and its end is another claim's start or the stay's own
//     departure. Any other end is its own: a stay's row then stands, another keeps its
//     end, and its status unless it is M and a later claim exists.
//   - A row that is inserted, or that returns, follows.
//
// Two things override a person's hand, and what they replace is kept as a conflict: a
// change of the departure by the booking's own events; and, for a row at M, that we write
// M on another row in the same look, because there is one main address. The row keeps its
// own end then; a stay without one ends on its departure, else like everyone.
//
// It also says whether the end is the row's own (we wrote the status beside it),
// because the row would otherwise look as if we had given the end; and whether the row was
// open before we first wrote it, for adoption.
//
// # Addresses that stand there already
//
// Stays without a row take a row of type A17 and status M, P or PR (proposed) of the same
// person that nobody owns, at the same place: the same postcode, spaces and case aside, or
// where neither has one the same first line. A row at any other status describes something
// else. Four passes, the surest first: start, lines and end as the stay's; start and
// lines; start; the date of any earlier arrival of the booking. Within each pass the
// booking that was known first chooses first, live rows before deleted ones, then the
// lowest number.
//
// A booking whose base arrival came before the stream takes by elimination: the open row
// at the place that its events name, else, once all those have chosen, the person's only
// open row. Open is live and without an end, or with one that we gave because the person
// moved on. If it has departures only it becomes a stay with the row's start and lines.
// When the base arrival comes after all, the row is given up ([Outcome].Released) and the
// passes begin anew.
//
// A row at PR is a proposal that came true. Nobody ever wrote where the person lives into
// it, so its status and end are what the claims say; an end that it had is kept as a
// conflict.
//
// What is desired at adoption counts as applied. What the row says otherwise stands as if
// a person had written it, and is told once ([AdoptedDiffers]).
//
// # Whose referral it is
//
// [Owner] decides it, for every path and every list alike: by the CRN of the referral's
// latest event that has one, else by the NOMS number of the latest that has one. Events
// whose detail is unusable count, for the notification names the person. Delius alone says
// which CRN and number belong together; whoever is soft-deleted there is nobody, but for
// somebody who was merged into another: their CRN names that other, over at most eight merges.
//
// Rows of ours on whoever was merged away are the person's, by the ledger or by their URN. A
// live one is brought to them: whose it is, its version and its last update change, nothing
// else, and what is remembered of it goes with it. A deleted one counts as deleted there and
// stays where it lies, until its own events say something new. The addresses of both are then
// claims of one person. When the merge is undone, [Placed] tells which rows we brought, and by
// whose CRN: those go to whom that CRN names now, with what people wrote into them, and claim
// nothing where they stand meanwhile. What Delius or a person moved is not ours to move back.
//
// When a referral turns out to be another person's, a live row under its URN on the
// wrong person parks the contact until somebody deletes it there, and a live address
// likewise parks the stay, which claims nothing meanwhile. On the wrong person the row of
// a stay keeps the departure that was applied. This is the one case in which the order of
// events shows: who was seen first has the row.
//
// What was deleted on the wrong person was deleted on our advice, and the referral may
// come back there, when a mistyped CRN is corrected. So a deletion counts only for what
// the row is at that moment. Where the ledger names another row, which is gone or deleted
// on somebody else, a live row is adopted or one is inserted, whatever lies there deleted.
// And a deleted address that we once wrote is adopted by no other booking's stay.
//
// # Parking
//
// What cannot be done is part of the outcome, never an error, and in nobody's way.
//
// An event is parked where its detail is not JSON of the expected types ([BadDetail]) or
// lacks what its contact needs: submittedAt, updatedAt, arrivedAt or departedAt, a CAS2
// applicationUrl, a status label (both may be empty). The fold leaves it out as if it had
// not come. It is listed until a usable event of its contact stands after it. An arrival
// without an address line ([BadAddress]) counts for its contact only, and is listed until
// a later arrival names an address. Details never change, so neither is tried again.
//
// A contact is parked where Delius lacks what it refers to: contact type, provider, team
// of that provider, staff member, manager, or the person. The first that is missing is
// named, and no field is written. A staff member outside the team is used and reported
// ([StaffNotInTeam]). References are looked up only where they are written, so an update
// that leaves the officer alone needs none. Time may heal it: see [Cause.Retried].
//
// # A history with holes
//
// The ledger names the events that a row was folded from. Where the history that was
// handed in lacks one of them, folding the rest would write as if it had never come. The
// outcome then names what is [Outcome].Lost and holds nothing else. An event that is there
// but cannot be used any more is not lost.
//
// # Choices
//
// Where the rules above can be read in two ways:
//
//   - Values within a line are trimmed like parts, and the line's end is trimmed: a status
//     without a description gives "Details:". A status detail without a label gives no
//     bullet. Line ends inside a part stay, as \n.
//   - An address line is cut as it came, white space in front counted, and the pieces are
//     trimmed after. A blank line gives no piece.
//   - A recorder without a staff code names nobody. One without a region names a provider
//     that does not exist. Codes are trimmed and otherwise compared exactly. The team is
//     the region's code with HPT; regions N58 and N59 have their own: N58XXX and N59N59.
//   - What is not used may be anything: cancelledAt, expectedDepartureOn, user names. The
//     premises of a departure are used, for elimination.
//   - An adopted contact whose officer was applied as the manager counts as untouched
//     while it shows whom it showed at adoption.
//   - Postcodes are compared as they would stand in the row, cut to 8 characters.
//   - If the ledger's row is gone, or deleted on somebody who is no longer the person,
//     another live row may be adopted before one is inserted. So what a person deleted
//     for reasons of their own returns with a referral that was somebody else's since.
//   - Until a row stands on the other person the ledger names the first one. If it is
//     deleted and the referral is given back before that, or the ledger is lost between
//     being given back and the deletion, it counts as a person's deletion.
//   - Adoption looks at what is there at that moment. Where events that arrive one by one
//     would have been recognised in a row only together, their order can show.
package delius
