// Package storetest makes up what CAS raises: referrals of made-up people, each
// event with its detail, its notification and the [store.Event] that both together
// amount to. It feeds property tests, benchmarks and the sandbox.
//
// There are two sources, which share everything from the single event downwards:
//
//   - [Generate] tells plausible lives from a seed: applications and their statuses,
//     bookings that are confirmed, cancelled, moved into, corrected, left and
//     returned to. The same [Options] give the same bytes on every machine.
//   - [Histories] is a rapid generator for property tests: small and adversarial. It
//     draws events in no plausible order from very few instants, texts and addresses,
//     so that ties, repeats and colliding stays are common.
//
// # How CAS tells it
//
// Both write events as CAS does in production: date-times with nine fraction digits,
// arrivals at midnight UTC, what is not there as null, premises whose region is one of the
// probation service, a deliusEventNumber that may be empty, nine cohorts and the origin
// "other". And they write them in every way in which CAS is known to write them now and then:
// optional parts absent and empty; date-times with Z, with an offset, with a Java zone name
// and without any zone; CRNs in lower case; NOMS numbers before the CRN and after it, null or
// "Unknown NOMS Number"; recorders that are missing or blank; an eventType within the detail
// that is wrong or comes twice; eventDetails that come twice; a byte order mark, lone
// surrogates and unused parts of any type in details; ids that are no UUIDs or that events of
// several types share; base events raised twice; and .updated events in the same instant as
// their base. None of that makes an event bad. Details and addresses that a contact cannot be
// made of, and event types that nobody knows, come only in the share that [Options]
// asks for; [Histories] always has some.
//
// Every event names a person by a CRN or a NOMS number, and all events of a [History]
// name the same one. Every referral belongs to one person.
package storetest
