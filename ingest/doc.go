// Package ingest moves CAS domain events from a queue into a log: the service, in
// domain words. It knows neither SQS, nor HTTP, nor NATS; those implement [Queue],
// [Details] and [Log].
//
// # A message's way
//
// The queue delivers a notification, at least once and in any order. Its form is
// checked strictly ([DecodeNotification]), its detail fetched from the URL that it
// names, and both together make one immutable event ([Notification.Event]), which is
// appended to the log ([Intake] is this way, for the service, files and replays alike).
// Only when the log has acknowledged it is the message deleted.
// The log recognises an event that it has, so a message that comes again, because it
// could not be deleted or because of a crash, does no harm.
//
// What can never become an event goes whole to the rejected messages of the log, with
// a reason, and is then deleted. So a message is always in at least one of log,
// rejected and queue, and in one of them in the end.
//
// A person event ([store.PersonEvent]) takes the same way, but that it is whole as it comes:
// no detail is fetched, and what is appended is its JSON as received. One that names nobody
// is rejected.
//
// # What fails, and what then
//
// [RejectionError] and an unusable URL or detail reject at once.
//
// Envelope and event are read strictly where they decide something. A detail is read as
// CAS's own consumers read it, that is as Jackson does: of duplicate names the last
// counts, a byte order mark in front is ignored, a lone surrogate becomes U+FFFD; it is
// stored exactly as received all the same. An answer 200 that is no JSON object with id
// and eventDetails ([DetailGarbled]) says nothing about the event: maintenance pages and
// proxies speak so. It is treated like a 5xx, but for one thing: one detail alone that
// keeps being garbled never opens the breaker. At its message's last delivery it is
// rejected, with the beginning of the answer.
//
// A detail that is not there, is refused, or alone keeps failing is tried again in
// growing pauses, which are the message's visibility in the queue, so that each costs one
// delivery. CAS publishes from inside its own transaction: a detail is often missing
// for a moment, and sometimes for ever. When the queue would dead-letter the message
// next, it is rejected instead, and so is a message that has to be given back without a
// result at that point. A queue without a redrive policy gets ten deliveries.
//
// What every message needs are the CAS API, the token endpoint and the log. When one of
// them fails several times in a row, a circuit breaker opens. Then nothing is received
// but single messages as probes, in growing pauses, and at most ten messages stay in
// hand, their visibility extended; any further ones go back. An outage thus costs a
// message one delivery, or one for every 12 h, SQS's limit on visibility. For the
// API different details have to fail, each counting once: one poisoned detail is no
// outage. Where so few messages come that there are no different ones, the breaker opens
// when a detail fails at its message's last delivery and the API has answered nothing
// since that message first came: it is kept in hand, not rejected. Failures to get a
// token or to reach the log keep a message in hand also while the breaker is closed:
// they are never its own fault. Any other answer closes the breaker. The number of
// messages in hand then grows again from ten, with every event stored.
//
// A message that the log refuses for its size is rejected (detail-too-large); if it is
// too large even for that, it is left for the queue to dead-letter.
//
// # The queue's settings
//
// They are read at the start and every few minutes. What is weaker than it should be is
// told in one list; a queue that keeps messages for less than an hour is refused, as an
// outage would lose events ([Limits]).
//
// # Stopping
//
// When its context ends, [Service.Run] begins nothing any more. A receive under way has
// a second to bring what the queue has handed out already, which then goes back at once.
// What is in hand is finished in half of [Config.Stop], the rest given back in the other
// half, by making it visible: Run has ended by then, whatever does not answer.
//
// # Files and rejected messages
//
// [Importer] and [Intake.Store] take events from files, and rejected messages, the same
// way.
package ingest
