// Package snstest is an SNS endpoint in this process, for tests and for a sandbox. The real
// AWS SDK talks to it over HTTP, in the query protocol of SNS.
//
// [Start] serves a test and [Run] a program. [Server.AWSConfig] configures an SDK client for
// it; with other tools the endpoint is [Server.URL], the region [Region], and any credentials
// do.
//
// Publish, PublishBatch, CreateTopic and GetTopicAttributes are there. A message that is
// accepted goes to everyone who has subscribed with [Server.Subscribe], in the order of
// acceptance, before the call is answered. Batches are checked as SNS checks them: at most ten
// messages, ids that differ, 256 KiB.
//
// [Server.FailCalls], [Server.FailMessages], [Server.DropCalls], [Server.DropAnswers] and
// [Server.OnCall] make calls fail or linger.
//
// Signatures and permissions are not checked, and everything lives in memory. There are no
// FIFO topics, no subscriptions over the wire, no filters.
package snstest
