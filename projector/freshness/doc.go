// Package freshness says how far Delius is behind the stream, and which part stands still.
//
// The age of the oldest event that is not applied is worked out from both ends: from the
// stream's head and what the inbox lacks of it, and from what waits in the inbox. So it grows
// whatever does not go on: a consumer that was paused, an inbox that cannot be written, steps
// that cannot commit. Each message has the time at which the stream took it, and that is what
// counts. Not counted is what no waiting brings into Delius: what is parked, referrals that
// fail again and again, events of types that have no effect, and what an earlier message with
// the same identity has superseded. These have gauges of their own.
//
// A [Monitor] reads all of that in a goroutine of its own, on connections of its own, with a
// limit on each reading; nothing that the workers wait for keeps it from it. What it could not
// read does not stand still: an age goes on growing from the oldest event that is known, or,
// where everything was applied, from the last time that this was known. When it was last worked
// out is a gauge, too.
//
// A part stands still if there is work for it and nothing has been committed for
// [Config.Stall], by anybody where that can be seen in the inbox. Readiness fails then.
//
// A canary is a synthetic message that takes the way of every event, but is of no case: ingest
// sends it to its own queue, the stream stores it, and the inbox commits its sequence. Its
// times along that way are gauges of [Canaries].
package freshness
