package sqs

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// readOnly sends requests whose bodies can only be read.
//
// The SDK closes a request's body as soon as the answer begins, at times before
// net/http has seen that the body is at its end. A body that is closed reads as ended,
// but the WriteTo that the SDK's bodies have fails with io.EOF then. To net/http that is
// a request which could not be written: it closes the connection while the answer is
// still being read. The messages in the answer are lost to us until their visibility
// ends.
type readOnly struct{ client sqs.HTTPClient }

// withReadOnly makes a client's requests readOnly.
func withReadOnly(o *sqs.Options) { o.HTTPClient = readOnly{o.HTTPClient} }

// Do sends a request.
func (c readOnly) Do(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		request.Body = struct{ io.ReadCloser }{request.Body}
	}
	return c.client.Do(request)
}
