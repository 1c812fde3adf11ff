package snstest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Limits of SNS.
const (
	maxEntries = 10
	maxBytes   = 256 << 10
	maxRequest = 4 << 20
)

// apiError is an error as SNS answers it.
type apiError struct {
	status        int
	Code, Message string
}

// Error implements error.
func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// refuse is an error that is the caller's fault.
func refuse(code, format string, args ...any) error {
	return &apiError{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// serve answers one call.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	if err := r.ParseForm(); err != nil {
		answer(w, "", nil, refuse("MalformedQueryString", "%v", err))
		return
	}
	name := r.PostForm.Get("Action")
	met := s.meet(r.Context(), name)
	if met.kind == dropCall {
		panic(http.ErrAbortHandler)
	}
	if met.kind == failCall {
		answer(w, name, nil, &met.err)
		return
	}
	result, err := s.act(name, r.PostForm)
	if met.kind == dropAnswer {
		panic(http.ErrAbortHandler)
	}
	answer(w, name, result, err)
}

// act does what a call asks for.
func (s *Server) act(name string, form url.Values) (any, error) {
	switch name {
	case "CreateTopic":
		return topicResult{ARN: s.CreateTopic(form.Get("Name"))}, nil
	case "GetTopicAttributes":
		return s.attributes(form.Get("TopicArn"))
	case "Publish":
		return s.publish(form.Get("TopicArn"), form)
	case "PublishBatch":
		return s.publishBatch(form.Get("TopicArn"), form)
	}
	return nil, refuse("InvalidAction", "snstest has no action %q", name)
}

// The results of calls, as they are on the wire.
type (
	topicResult struct {
		ARN string `xml:"TopicArn"`
	}
	attributesResult struct {
		Entries []attributeEntry `xml:"Attributes>entry"`
	}
	attributeEntry struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	}
	publishResult struct {
		ID string `xml:"MessageId"`
	}
	batchResult struct {
		Successful []accepted `xml:"Successful>member"`
		Failed     []refused  `xml:"Failed>member"`
	}
	accepted struct {
		ID        string `xml:"Id"`
		MessageID string `xml:"MessageId"`
	}
	refused struct {
		ID          string `xml:"Id"`
		Code        string
		Message     string
		SenderFault bool
	}
)

func (s *Server) attributes(arn string) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	return attributesResult{[]attributeEntry{
		{"TopicArn", arn},
		{"SubscriptionsConfirmed", strconv.Itoa(len(t.subscribers))},
		{"SubscriptionsPending", strconv.Itoa(t.pending)},
	}}, nil
}

// find is a topic by its ARN. The lock is held.
func (s *Server) find(arn string) (*topic, error) {
	if t := s.topics[arn]; t != nil {
		return t, nil
	}
	return nil, &apiError{http.StatusNotFound, "NotFound", "Topic does not exist"}
}

func (s *Server) publish(arn string, form url.Values) (any, error) {
	m, err := read(form, "")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	t.accept(m)
	return publishResult{m.ID}, nil
}

// publishBatch accepts or refuses each message of a batch by itself.
func (s *Server) publishBatch(arn string, form url.Values) (any, error) {
	var ids []string
	var messages []Message
	seen, size := map[string]bool{}, 0
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("PublishBatchRequestEntries.member.%d.", i)
		id := form.Get(prefix + "Id")
		if id == "" {
			break
		}
		if seen[id] {
			return nil, refuse("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
		}
		m, err := read(form, prefix)
		if err != nil {
			return nil, err
		}
		seen[id], size = true, size+len(m.Body)
		ids, messages = append(ids, id), append(messages, m)
	}
	switch {
	case len(ids) == 0:
		return nil, refuse("EmptyBatchRequest", "The batch request doesn't contain any entries.")
	case len(ids) > maxEntries:
		return nil, refuse("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible: %d.", len(ids))
	case size > maxBytes:
		return nil, refuse("BatchRequestTooLong", "The length of all the batch messages put together is more than the limit.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(arn)
	if err != nil {
		return nil, err
	}
	var result batchResult
	for i, m := range messages {
		if met := s.meetMessage(m); met != nil {
			result.Failed = append(result.Failed, refused{ids[i], met.Code, met.Message, met.status < http.StatusInternalServerError})
			continue
		}
		t.accept(m)
		result.Successful = append(result.Successful, accepted{ids[i], m.ID})
	}
	return result, nil
}

func (t *topic) accept(m Message) {
	for _, f := range t.subscribers {
		f(m)
	}
}

// read reads a message from the fields with a prefix.
func read(form url.Values, prefix string) (Message, error) {
	m := Message{ID: uuid.NewString(), Body: form.Get(prefix + "Message"), Attributes: map[string]string{}}
	if strings.TrimSpace(m.Body) == "" {
		return m, refuse("InvalidParameter", "Invalid parameter: Empty message")
	}
	for i := 1; ; i++ {
		entry := fmt.Sprintf("%sMessageAttributes.entry.%d.", prefix, i)
		name := form.Get(entry + "Name")
		if name == "" {
			return m, nil
		}
		value := form.Get(entry + "Value.StringValue")
		if form.Get(entry+"Value.DataType") != "String" || value == "" {
			return m, refuse("InvalidParameterValue", "The message attribute '%s' must contain non-empty message attribute value of type 'String'.", name)
		}
		m.Attributes[name] = value
	}
}

// answer writes what came of a call.
func answer(w http.ResponseWriter, name string, result any, err error) {
	w.Header().Set("Content-Type", "text/xml")
	if err != nil {
		e := &apiError{http.StatusInternalServerError, "InternalFailure", err.Error()}
		errors.As(err, &e)
		kind := "Sender"
		if e.status >= http.StatusInternalServerError {
			kind = "Receiver"
		}
		w.WriteHeader(e.status)
		write(w, "ErrorResponse", struct {
			Type, Code, Message string
		}{kind, e.Code, e.Message}, "Error")
		return
	}
	write(w, name+"Response", result, name+"Result")
}

// write writes a value as XML, within two elements.
func write(w http.ResponseWriter, outer string, value any, inner string) {
	encoder := xml.NewEncoder(w)
	start := xml.StartElement{Name: xml.Name{Local: outer}}
	err := errors.Join(
		encoder.EncodeToken(start),
		encoder.EncodeElement(value, xml.StartElement{Name: xml.Name{Local: inner}}),
		encoder.EncodeToken(start.End()),
		encoder.Flush())
	_ = err // a client that is gone will ask again
}
