// Package store is the vocabulary that every part of the system shares: an
// [Event] and the identifiers in it. It does no I/O and reads no clock; the log
// itself is in the package jetstream below it.
//
// An event is one CAS domain event with its detail, immutable once stored. Its
// identity is its (type, referral, id): one id can be shared by events of
// different types. Of two events with one identity the one that was stored first
// counts, because CAS at times rewrites details later.
//
// The log keys events by referral. The referral of an event is the application
// that a CAS2 event or a CAS3 referral.submitted names, and the booking that every
// other CAS3 event names.
//
// A [PersonEvent] is something else: it says that Delius may know a person by another name
// now. It is stored beside the events, with an identity of its own, its (type, SNS
// MessageId), and nothing is ever folded from it.
//
// A [Canary] is neither: it is a message of no case, by which the way of all others is timed.
//
// Identifiers are parsed into types before they come near a subject, a query or a
// header: a [Referral], a [CRN], a [NOMS] or a [Type] that exists is well formed.
// Date-times are lenient, because CAS writes them in three ways; see [ParseTime].
//
// On the wire an event is a CloudEvent in NATS binary mode: its attributes are
// headers (see [Event.Header]) and the body is the detail exactly as CAS served it. So is a
// person event; its body is what was published, as received.
package store
