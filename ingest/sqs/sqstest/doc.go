// Package sqstest is an SQS endpoint in this process, for tests and for a sandbox. The
// real AWS SDK and the AWS command line talk to it over HTTP, in the JSON protocol of
// SQS (AWS JSON 1.0).
//
// [Start] serves a test and [Run] a program. [Server.AWSConfig] configures an SDK
// client for it; with other tools the endpoint is [Server.URL], the region [Region],
// and any credentials do.
//
// # What it does as SQS does
//
//   - Long polls end with the first messages that come, else after their wait.
//   - Every delivery has a receipt of its own. Deleting by one that a later delivery
//     has replaced succeeds and deletes nothing, deleting what is gone succeeds, a
//     receipt that makes no sense is refused. The visibility of a message that is
//     visible, gone or delivered anew cannot be changed, nor beyond 12 h after its
//     delivery.
//   - A message that was delivered maxReceiveCount times is moved to the dead-letter
//     queue by the receive that would deliver it once more. Its receive count goes on
//     counting there.
//   - Attributes are answered only if they are asked for. MD5 digests are right.
//
// # For tests
//
// [Server.Advance] moves the clock of visibility and long polls, so that nobody has to
// wait for them. [Server.FailCalls], [Server.FailEntries], [Server.DropCalls],
// [Server.DropAnswers] and [Server.OnCall] make calls fail or linger.
// [Server.Send], [Server.Depth] and [Server.Messages] get at the queues without HTTP.
//
// # What it leaves out
//
// Signatures and permissions are not checked, and everything lives in memory. Messages
// come in the order in which they became visible, once each: SQS promises neither, so
// do not rely on it. There are no FIFO queues, no delays, no encryption, no trace
// header, no tags, no moving of dead letters back, no DeleteQueue, no XML protocol, no
// limit of 120,000 messages in flight, no check for characters that SQS refuses, and
// MessageRetentionPeriod is kept but nothing grows too old. Actions, queue attributes,
// delays and FIFO fields that are not there are refused; other fields that are not
// known here, tags say, are passed over.
package sqstest
