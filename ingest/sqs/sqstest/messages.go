package sqstest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxMessage = 1 << 20 // bytes of a message, and of all messages of a batch together
	maxBatch   = 10
)

func (s *Server) sendMessage(_ context.Context, in *sendRequest) (sent, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return sent{}, err
	}
	return s.accept(q, &in.outgoing)
}

func (s *Server) sendMessageBatch(_ context.Context, in *sendBatchRequest) (batchAnswer[sent], error) {
	size := 0
	for i := range in.Entries {
		size += in.Entries[i].size()
	}
	if size > maxMessage {
		return batchAnswer[sent]{}, failure("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxMessage, size)
	}
	q, err := s.at(in.QueueURL)
	if err != nil {
		return batchAnswer[sent]{}, err
	}
	return batch(s, "SendMessageBatch", in.Entries, func(e *sendEntry) string { return e.ID }, func(e *sendEntry) (sent, error) {
		done, err := s.accept(q, &e.outgoing)
		done.ID = e.ID
		return done, err
	})
}

// size is what counts towards the limit of a message.
func (o *outgoing) size() int {
	n := len(o.MessageBody)
	for name, a := range o.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.StringValue) + len(a.BinaryValue)
	}
	return n
}

// accept checks a message and sends it.
func (s *Server) accept(q *queue, o *outgoing) (sent, error) {
	switch {
	case o.DelaySeconds != 0 || o.MessageGroupID != "" || o.MessageDeduplicationID != "" || len(o.MessageSystemAttributes) > 0:
		return sent{}, failure("UnsupportedOperation", "sqstest has no delays, no FIFO queues and no system attributes to send.")
	case o.MessageBody == "":
		return sent{}, failure("MissingParameter", "The request must contain the parameter MessageBody.")
	case o.size() > maxMessage:
		return sent{}, failure("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxMessage)
	case len(o.MessageAttributes) > 10:
		return sent{}, failure("InvalidParameterValue", "Number of message attributes [%d] exceeds the allowed maximum [10].", len(o.MessageAttributes))
	}
	for name, a := range o.MessageAttributes {
		if err := a.check(name); err != nil {
			return sent{}, err
		}
	}
	m := s.send(q, o.MessageBody, o.MessageAttributes)
	return sent{MessageID: m.id, MD5OfMessageBody: m.digest, MD5OfMessageAttributes: attributesDigest(o.MessageAttributes)}, nil
}

func (s *Server) receiveMessage(ctx context.Context, in *receiveRequest) (receiveAnswer, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return receiveAnswer{}, err
	}
	s.mu.Lock()
	t := q.settings
	s.mu.Unlock()
	n, err := parameter("MaxNumberOfMessages", in.MaxNumberOfMessages, 1, 1, maxBatch)
	if err != nil {
		return receiveAnswer{}, err
	}
	visibility, err := parameter("VisibilityTimeout", in.VisibilityTimeout, int(t.visibility/time.Second), 0, 43_200)
	if err != nil {
		return receiveAnswer{}, err
	}
	wait, err := parameter("WaitTimeSeconds", in.WaitTimeSeconds, int(t.wait/time.Second), 0, 20)
	if err != nil {
		return receiveAnswer{}, err
	}
	var out receiveAnswer
	for _, d := range s.receive(ctx, q, n, time.Duration(visibility)*time.Second, time.Duration(wait)*time.Second) {
		out.Messages = append(out.Messages, d.answer(in))
	}
	return out, nil
}

// parameter is the value of an optional parameter that has bounds.
func parameter(name string, value *int, otherwise, low, high int) (int, error) {
	if value == nil {
		return otherwise, nil
	}
	if *value < low || *value > high {
		return 0, failure("InvalidParameterValue", "Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", *value, name, low, high)
	}
	return *value, nil
}

// answer is a delivery with those attributes that were asked for.
func (d *delivery) answer(in *receiveRequest) incoming {
	m := incoming{MessageID: d.id, ReceiptHandle: d.receipt, MD5OfBody: d.digest, Body: d.body}
	for _, name := range slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames) {
		for key, value := range d.system() {
			if name == key || name == "All" {
				if m.Attributes == nil {
					m.Attributes = make(map[string]string)
				}
				m.Attributes[key] = value
			}
		}
	}
	for key, value := range d.attributes {
		if asked(key, in.MessageAttributeNames) {
			if m.MessageAttributes == nil {
				m.MessageAttributes = make(map[string]attribute)
			}
			m.MessageAttributes[key] = value
		}
	}
	m.MD5OfMessageAttributes = attributesDigest(m.MessageAttributes)
	return m
}

// system are the system attributes of a delivery.
func (d *delivery) system() map[string]string {
	all := map[string]string{
		"SenderId":                         Account,
		"SentTimestamp":                    strconv.FormatInt(d.sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(d.received),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(d.first.UnixMilli(), 10),
	}
	if d.source != "" {
		all["DeadLetterQueueSourceArn"] = d.source
	}
	return all
}

// asked tells whether one of the names asks for a message attribute: its own, "All",
// ".*" or a prefix with ".*" behind it.
func asked(key string, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		prefix, wild := strings.CutSuffix(name, ".*")
		return name == key || name == "All" || wild && strings.HasPrefix(key, prefix)
	})
}

func (s *Server) deleteMessage(_ context.Context, in *receiptRequest) (emptyAnswer, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return emptyAnswer{}, err
	}
	return emptyAnswer{}, s.discard(q, in.ReceiptHandle)
}

func (s *Server) deleteMessageBatch(_ context.Context, in *receiptBatchRequest) (batchAnswer[entryDone], error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return batchAnswer[entryDone]{}, err
	}
	return batch(s, "DeleteMessageBatch", in.Entries, (*receiptEntry).id, func(e *receiptEntry) (entryDone, error) {
		return entryDone{e.ID}, s.discard(q, e.ReceiptHandle)
	})
}

func (s *Server) changeMessageVisibility(_ context.Context, in *receiptRequest) (emptyAnswer, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return emptyAnswer{}, err
	}
	return emptyAnswer{}, s.changeBy(q, &in.receiptEntry)
}

func (s *Server) changeMessageVisibilityBatch(_ context.Context, in *receiptBatchRequest) (batchAnswer[entryDone], error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return batchAnswer[entryDone]{}, err
	}
	return batch(s, "ChangeMessageVisibilityBatch", in.Entries, (*receiptEntry).id, func(e *receiptEntry) (entryDone, error) {
		return entryDone{e.ID}, s.changeBy(q, e)
	})
}

func (e *receiptEntry) id() string { return e.ID }

func (s *Server) changeBy(q *queue, e *receiptEntry) error {
	if e.VisibilityTimeout == nil {
		return failure("MissingParameter", "The request must contain the parameter VisibilityTimeout.")
	}
	return s.change(q, e.ReceiptHandle, time.Duration(*e.VisibilityTimeout)*time.Second)
}

// batch serves the entries of a batch, each with a fate of its own.
func batch[E, T any](s *Server, action string, entries []E, id func(*E) string, serve func(*E) (T, error)) (batchAnswer[T], error) {
	out := batchAnswer[T]{Successful: []T{}, Failed: []failed{}}
	if err := checkBatch(entries, id); err != nil {
		return out, err
	}
	for i := range entries {
		e := &entries[i]
		if f := s.meetEntry(action); f != nil {
			out.Failed = append(out.Failed, failed{id(e), f.sender, f.err.Code, f.err.Message})
			continue
		}
		done, err := serve(e)
		if err != nil {
			refused := new(apiError)
			errors.As(err, &refused)
			out.Failed = append(out.Failed, failed{id(e), true, refused.Code, refused.Message})
			continue
		}
		out.Successful = append(out.Successful, done)
	}
	return out, nil
}

// checkBatch refuses what SQS refuses of a batch as a whole.
func checkBatch[E any](entries []E, id func(*E) string) error {
	if len(entries) == 0 {
		return failure("EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(entries) > maxBatch {
		return failure("TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.", maxBatch, len(entries))
	}
	seen := make(map[string]bool, len(entries))
	for i := range entries {
		name := id(&entries[i])
		if !validName(name) {
			return failure("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long: %q", name)
		}
		if seen[name] {
			return failure("BatchEntryIdsNotDistinct", "Id %s repeated.", name)
		}
		seen[name] = true
	}
	return nil
}
