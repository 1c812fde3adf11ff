// Package failpoint lets faults come exactly before or after what a program does with the
// world: an error, the end of the context, or the death of the process.
//
// Only programs and tests that are built with the tag torture have failpoints. In all others
// [Around] is what it is given to do, and nothing else is compiled.
package failpoint

// Point is something that a program does, before and after which a fault can come.
type Point string

// The points, in the order in which an event passes them.
const (
	Receive                Point = "receive" // notifications from the queue
	Detail                 Point = "detail"  // fetched
	Publish                Point = "publish" // an event is sent to the stream
	PublishAcknowledgement Point = "publish acknowledgement"
	Delete                 Point = "delete" // notifications from the queue
	InboxCommit            Point = "inbox commit"
	Lock                   Point = "lock" // of the people of a step
	Apply                  Point = "apply"
	Ledger                 Point = "ledger"
	Outbox                 Point = "outbox"
	Commit                 Point = "commit"
	Ack                    Point = "ack" // to the stream
	NoticeSent             Point = "notice sent"
	NoticeAcknowledged     Point = "notice acknowledged" // in the outbox
)
