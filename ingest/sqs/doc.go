// Package sqs is ingest's queue over Amazon SQS.
//
// A queue is named by its name or its URL. The endpoint, the region and the
// credentials are the AWS SDK's business (AWS_REGION, AWS_ENDPOINT_URL_SQS and the
// rest of its chain): a queue's URL says which queue, never where to connect. A name
// is looked up at the first call that needs it, so that a service can start while
// SQS is out.
//
// # What is promised
//
//   - Receive counts are read from SQS, never counted or guessed here. Ingest decides
//     by them whether a message has one more try before it is dead-lettered, so a
//     delivery that does not carry its count is an error.
//   - A batch call succeeds for exactly those messages that the answer names as
//     successful. An entry that SQS itself failed is tried again twice after a short
//     pause; what then remains, and whatever SQS calls the sender's fault, is reported
//     in an [ingest.PartialError].
//   - SQS's limit on a message's visibility is 12 hours counted from its delivery. SetVisibility asks for no more than is left of them, and for a message
//     that has used them up says [ErrVisibilityUsedUp].
//
// # Errors
//
// SDK errors end here. Throttling, 5xx, time-outs and connections that are refused or
// lost are [ingest.ErrUnavailable]: the same call may succeed later. Everything else,
// a queue that does not exist or that this service may not read among it, is a plain
// error that says what to look at; trying again does not help. A call that is
// cancelled says so with the context's own error.
package sqs
