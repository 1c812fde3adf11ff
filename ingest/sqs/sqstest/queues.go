package sqstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// settings are what a queue can be set to.
type settings struct {
	visibility  time.Duration
	retention   time.Duration
	wait        time.Duration
	deadLetters string // name of a queue, "" if it has none
	maxReceives int    // deliveries before a message goes there
}

func defaults() settings {
	return settings{visibility: 30 * time.Second, retention: 4 * 24 * time.Hour}
}

// set takes over attributes as SQS names them.
func (t *settings) set(attributes map[string]string) (err error) {
	for name, value := range attributes {
		switch name {
		case "VisibilityTimeout":
			t.visibility, err = period(name, value, 0, 43_200)
		case "MessageRetentionPeriod":
			t.retention, err = period(name, value, 60, 1_209_600)
		case "ReceiveMessageWaitTimeSeconds":
			t.wait, err = period(name, value, 0, 20)
		case "RedrivePolicy":
			t.deadLetters, t.maxReceives, err = parseRedrive(value)
		default:
			err = failure("InvalidAttributeName", "sqstest has no attribute %s.", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// period reads a number of seconds within bounds.
func period(name, value string, low, high int) (time.Duration, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return 0, failure("InvalidAttributeValue", "Invalid value %q for the parameter %s. Reason: Must be between %d and %d.", value, name, low, high)
	}
	return time.Duration(n) * time.Second, nil
}

// parseRedrive takes a redrive policy apart; an empty one is none. The count is a
// number or a string.
func parseRedrive(value string) (deadLetters string, maxReceives int, err error) {
	if value == "" {
		return "", 0, nil
	}
	var policy struct {
		Target string         `json:"deadLetterTargetArn"`
		Max    jsontext.Value `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(value), &policy); err != nil {
		return "", 0, failure("InvalidAttributeValue", "RedrivePolicy: %v", err)
	}
	n, err := strconv.Atoi(strings.Trim(string(policy.Max), `"`))
	if err != nil || n < 1 || n > 1000 {
		return "", 0, failure("InvalidAttributeValue", "maxReceiveCount %s is not 1 to 1000.", policy.Max)
	}
	return policy.Target[strings.LastIndexByte(policy.Target, ':')+1:], n, nil
}

func (s *Server) createQueue(_ context.Context, in *nameRequest) (urlAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.create(in.QueueName, in.Attributes)
	if err != nil {
		return urlAnswer{}, err
	}
	return urlAnswer{q.url}, nil
}

// create makes a queue, or finds it if it exists with the same settings.
func (s *Server) create(name string, attributes map[string]string) (*queue, error) {
	if !validName(name) {
		return nil, failure("InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length: %q", name)
	}
	t := defaults()
	old := s.queues[name]
	if old != nil {
		t = old.settings
	}
	if err := t.set(attributes); err != nil {
		return nil, err
	}
	if t.deadLetters != "" && s.queues[t.deadLetters] == nil {
		return nil, failure("InvalidParameterValue", "Dead letter target does not exist: %s", t.deadLetters)
	}
	if old != nil && t != old.settings {
		return nil, failure("QueueNameExists", "A queue already exists with the same name and a different value for an attribute: %s", name)
	}
	if old == nil {
		s.queues[name] = &queue{
			name:     name,
			url:      s.url + "/" + Account + "/" + name,
			arn:      arn(name),
			settings: t,
			created:  s.now(),
			messages: make(map[uint64]*message),
		}
	}
	return s.queues[name], nil
}

func arn(name string) string { return "arn:aws:sqs:" + Region + ":" + Account + ":" + name }

// validName tells whether s can name a queue or an entry of a batch.
func validName(s string) bool {
	bad := func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", c)
	}
	return s != "" && len(s) <= 80 && !strings.ContainsFunc(s, bad)
}

// named finds a queue by its name.
func (s *Server) named(name string) (*queue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		return q, nil
	}
	return nil, failure("QueueDoesNotExist", "The specified queue does not exist: %s", name)
}

// at finds a queue by its URL, whatever host that names.
func (s *Server) at(url string) (*queue, error) {
	return s.named(url[strings.LastIndexByte(url, '/')+1:])
}

func (s *Server) getQueueURL(_ context.Context, in *nameRequest) (urlAnswer, error) {
	q, err := s.named(in.QueueName)
	if err != nil {
		return urlAnswer{}, err
	}
	return urlAnswer{q.url}, nil
}

func (s *Server) listQueues(_ context.Context, in *listRequest) (listAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out listAnswer
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		if strings.HasPrefix(name, in.QueueNamePrefix) {
			out.QueueUrls = append(out.QueueUrls, s.queues[name].url)
		}
	}
	return out, nil
}

func (s *Server) setQueueAttributes(_ context.Context, in *queueRequest) (emptyAnswer, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return emptyAnswer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := q.settings
	if err := t.set(in.Attributes); err != nil {
		return emptyAnswer{}, err
	}
	if t.deadLetters != "" && s.queues[t.deadLetters] == nil {
		return emptyAnswer{}, failure("InvalidParameterValue", "Dead letter target does not exist: %s", t.deadLetters)
	}
	q.settings = t
	return emptyAnswer{}, nil
}

func (s *Server) getQueueAttributes(_ context.Context, in *queueRequest) (attributesAnswer, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return attributesAnswer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.release(s.now())
	all := q.describe()
	if slices.Contains(in.AttributeNames, "All") {
		return attributesAnswer{all}, nil
	}
	asked := make(map[string]string)
	for _, name := range in.AttributeNames {
		if value, ok := all[name]; ok {
			asked[name] = value
		}
	}
	return attributesAnswer{asked}, nil
}

// describe gives all attributes of a queue. A queue without dead letters has no
// RedrivePolicy.
func (q *queue) describe() map[string]string {
	count := strconv.Itoa
	secs := func(d time.Duration) string { return count(int(d / time.Second)) }
	attributes := map[string]string{
		"QueueArn":                              q.arn,
		"CreatedTimestamp":                      strconv.FormatInt(q.created.Unix(), 10),
		"VisibilityTimeout":                     secs(q.settings.visibility),
		"MessageRetentionPeriod":                secs(q.settings.retention),
		"ReceiveMessageWaitTimeSeconds":         secs(q.settings.wait),
		"MaximumMessageSize":                    count(maxMessage),
		"DelaySeconds":                          "0",
		"ApproximateNumberOfMessages":           count(q.visible.Len()),
		"ApproximateNumberOfMessagesNotVisible": count(len(q.hidden)),
		"ApproximateNumberOfMessagesDelayed":    "0",
	}
	if q.settings.deadLetters != "" {
		attributes["RedrivePolicy"] = redrivePolicy(q.settings.deadLetters, q.settings.maxReceives)
	}
	return attributes
}

// redrivePolicy is the attribute that makes a queue dead-letter its messages.
func redrivePolicy(deadLetters string, maxReceives int) string {
	return fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, arn(deadLetters), maxReceives)
}

func (s *Server) purgeQueue(_ context.Context, in *queueRequest) (emptyAnswer, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return emptyAnswer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.clear()
	return emptyAnswer{}, nil
}
