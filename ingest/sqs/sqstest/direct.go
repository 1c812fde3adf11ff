package sqstest

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// QueueSettings are what a queue can be made with. Zero values are those of SQS.
type QueueSettings struct {
	Visibility      time.Duration // whole seconds; 30 s if 0
	Retention       time.Duration // whole seconds, 60 s to 14 d; 4 d if 0
	DeadLetterQueue string        // name of a queue that exists; "" for none
	MaxReceiveCount int           // deliveries before a message goes there
}

// CreateQueue makes a queue and returns its URL. It fails if there is one of that name
// with other settings.
func (s *Server) CreateQueue(name string, with QueueSettings) (url string, err error) {
	attributes := make(map[string]string)
	if with.Visibility != 0 {
		attributes["VisibilityTimeout"] = strconv.Itoa(int(with.Visibility / time.Second))
	}
	if with.Retention != 0 {
		attributes["MessageRetentionPeriod"] = strconv.Itoa(int(with.Retention / time.Second))
	}
	if with.DeadLetterQueue != "" {
		attributes["RedrivePolicy"] = redrivePolicy(with.DeadLetterQueue, with.MaxReceiveCount)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.create(name, attributes)
	if err != nil {
		return "", err
	}
	return q.url, nil
}

// Send puts a message with attributes of type String into a queue, as SendMessage does
// but without HTTP, and returns the message's id.
func (s *Server) Send(queue, body string, attributes map[string]string) (id string, err error) {
	q, err := s.named(queue)
	if err != nil {
		return "", err
	}
	o := outgoing{MessageBody: body}
	if len(attributes) > 0 {
		o.MessageAttributes = make(map[string]attribute, len(attributes))
		for name, value := range attributes {
			o.MessageAttributes[name] = attribute{DataType: "String", StringValue: value}
		}
	}
	done, err := s.accept(q, &o)
	return done.MessageID, err
}

// Depth is how many messages a queue holds.
type Depth struct {
	Visible  int
	InFlight int // delivered, and hidden since
}

// Depth counts the messages of a queue.
func (s *Server) Depth(queue string) (Depth, error) {
	q, err := s.named(queue)
	if err != nil {
		return Depth{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.release(s.now())
	return Depth{q.visible.Len(), len(q.hidden)}, nil
}

// Message is a message in a queue.
type Message struct {
	ID           string
	Body         string
	ReceiveCount int  // deliveries so far, 0 if there was none
	InFlight     bool // hidden since the last of them
}

// Messages lists what a queue holds, a dead-letter queue say, in the order in which
// it was sent. No message is delivered by it.
func (s *Server) Messages(queue string) ([]Message, error) {
	q, err := s.named(queue)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.release(s.now())
	held := make([]*message, 0, len(q.messages))
	for _, m := range q.messages {
		held = append(held, m)
	}
	slices.SortFunc(held, func(a, b *message) int { return cmp.Compare(a.number, b.number) })
	list := make([]Message, len(held))
	for i, m := range held {
		list[i] = Message{m.id, m.body, m.received, m.index >= 0}
	}
	return list, nil
}
