// Package jetstream keeps the log of events on NATS JetStream. The log is the one
// place where an event exists for good: once [Log.Append] has returned without an
// error the event is on disk, and whoever brought it may forget it.
//
// There are two streams. CAS_EVENTS holds one message for each event, under the
// subject of its referral, and one for each person event, under a subject of its own.
// CAS_REJECTED holds what can never become an event, whole and with the reason, and marks
// that say which of it was replayed since. Nothing is ever removed from either: a full
// stream refuses what is new, and the queue it came from keeps it.
//
// [Log.Ensure] makes the streams or compares those that exist with what is needed.
// Every setting that could lose an event is looked at, and a weaker one is refused by
// name instead of being lived with. One of them no client can see over NATS itself:
// unless the server runs with sync_interval "always", it acknowledges before the disk
// has the message and loses minutes of them in a power cut. So it is read from the
// servers' monitoring ports where these are known, and warned about where they are not. A
// server that does not answer there is warned about where another one does: a cluster is
// there so that one may be missing. [Log.Watch] reads all of it again while a service
// runs.
//
// Appending is idempotent for the stream's duplicate window of an hour: the message
// id is a hash of the event's identity. After that a second message for one identity
// may be stored, and the reader keeps the one with the lower sequence. Events are
// published one by one with many in flight, never as an atomic batch, in which a
// single duplicate fails all.
//
// Three ways lead out of the log. [Log.Read] goes through a range of sequences in
// order, fast, for whoever rebuilds. [Log.History] gives one referral's events; it is
// for people and repairs, as it costs a few round trips and cold disk blocks.
// [Log.Follow] shares what is new between any number of processes, each event going
// to one of them until it is acknowledged.
//
// A message that is no event of ours does not stop a reader: it is handed on with the
// error set, because the stream cannot be mended and its sequence must be accounted
// for.
//
// Errors of NATS are translated here, once: see [ErrUnavailable], [ErrFull],
// [ErrTooLarge], [ErrNotFound], [ErrClosed] and [SettingsError]. An event whose
// acknowledgement did not come may be in the log all the same; appending it again
// settles that.
package jetstream
