package sqstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

const contentType = "application/x-amz-json-1.0"

// maxRequest bounds the body of a request: a batch holds 1 MiB before it is escaped.
const maxRequest = 8 << 20

// actions are the calls that there are, by the name in the X-Amz-Target header.
var actions = map[string]func(s *Server, ctx context.Context, body []byte) (any, error){
	"CreateQueue":                  decoding((*Server).createQueue),
	"GetQueueUrl":                  decoding((*Server).getQueueURL),
	"ListQueues":                   decoding((*Server).listQueues),
	"GetQueueAttributes":           decoding((*Server).getQueueAttributes),
	"SetQueueAttributes":           decoding((*Server).setQueueAttributes),
	"PurgeQueue":                   decoding((*Server).purgeQueue),
	"SendMessage":                  decoding((*Server).sendMessage),
	"SendMessageBatch":             decoding((*Server).sendMessageBatch),
	"ReceiveMessage":               decoding((*Server).receiveMessage),
	"DeleteMessage":                decoding((*Server).deleteMessage),
	"DeleteMessageBatch":           decoding((*Server).deleteMessageBatch),
	"ChangeMessageVisibility":      decoding((*Server).changeMessageVisibility),
	"ChangeMessageVisibilityBatch": decoding((*Server).changeMessageVisibilityBatch),
}

// decoding makes an action of a method that takes its request decoded.
func decoding[In, Out any](serve func(*Server, context.Context, *In) (Out, error)) func(*Server, context.Context, []byte) (any, error) {
	return func(s *Server, ctx context.Context, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, failure("SerializationException", "%v", err)
		}
		return serve(s, ctx, &in)
	}
}

// serve answers one call.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		answer(w, nil, failure("SerializationException", "read the request: %v", err))
		return
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	action := actions[name]
	if !ok || action == nil {
		answer(w, nil, failure("InvalidAction", "sqstest has no action %q; it speaks AWS JSON 1.0 only", r.Header.Get("X-Amz-Target")))
		return
	}
	met := s.meet(r.Context(), name)
	if met.kind == dropCall {
		panic(http.ErrAbortHandler)
	}
	if met.kind == failCall {
		answer(w, nil, met.err)
		return
	}
	out, err := action(s, r.Context(), body)
	if met.kind == dropAnswer {
		panic(http.ErrAbortHandler)
	}
	answer(w, out, err)
}

// answer writes what came of a call.
func answer(w http.ResponseWriter, out any, err error) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	status := http.StatusOK
	if err != nil {
		e := &apiError{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: err.Error()}
		errors.As(err, &e)
		status = e.Status
		w.Header().Set("X-Amzn-Query-Error", e.queryCode()+";"+e.fault())
		out = map[string]string{"__type": "com.amazonaws.sqs#" + e.Code, "message": e.Message}
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Sprintf("sqstest: encode %T: %v", out, err)) // every answer is made here
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone will ask again
}

// apiError is an error as SQS answers it.
type apiError struct {
	Status  int
	Code    string // the shape's name, as in the SDK's types
	Message string
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// fault is whose fault it is, in the words of the query protocol.
func (e *apiError) fault() string {
	if e.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// queryCode is the code that the older query protocol has for the error, which SDKs
// still show.
func (e *apiError) queryCode() string {
	switch e.Code {
	case "QueueDoesNotExist":
		return "AWS.SimpleQueueService.NonExistentQueue"
	case "QueueNameExists":
		return "QueueAlreadyExists"
	case "BatchEntryIdsNotDistinct", "BatchRequestTooLong", "EmptyBatchRequest", "InvalidBatchEntryId",
		"MessageNotInflight", "TooManyEntriesInBatchRequest", "UnsupportedOperation":
		return "AWS.SimpleQueueService." + e.Code
	}
	return e.Code
}

// failure is an error that is the caller's fault.
func failure(code, format string, args ...any) error {
	return &apiError{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}
