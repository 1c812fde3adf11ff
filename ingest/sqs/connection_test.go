package sqs_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/sqs"
	"casdelius/ingest/sqs/sqstest"
)

func TestAnAnswerThatComesBeforeItsRequestIsQuiteWrittenIsReadWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	slow := newSlowWriter()
	sdk := b.AWSConfig()
	sdk.HTTPClient = slow
	queue, err := sqs.New(awssqs.NewFromConfig(sdk), sqs.Config{Queue: b.URL() + "/" + sqstest.Account + "/events"})
	require.NoError(t, err)
	for range 10 {
		_, err := b.Send("events", string(bytes.Repeat([]byte("x"), 100_000)), nil)
		require.NoError(t, err)
	}
	var written error
	msgs, err := queue.Receive(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			written = info.Err
			close(slow.written)
		},
	}), 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, msgs, 10)
	require.NoError(t, written)
}

// slowWriter is an HTTP client whose connection learns only after the answer has begun
// that its request is written.
type slowWriter struct {
	*awshttp.BuildableClient
	answered chan struct{}
	written  chan struct{}
}

func newSlowWriter() *slowWriter {
	w := &slowWriter{answered: make(chan struct{}), written: make(chan struct{})}
	w.BuildableClient = awshttp.NewBuildableClient().WithTransportOptions(func(transport *http.Transport) {
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return slowConn{conn, w.answered}, err
		}
	})
	return w
}

// Do closes the request's body when the answer begins, as the SDK does.
func (w *slowWriter) Do(request *http.Request) (*http.Response, error) {
	answer, err := w.BuildableClient.Do(request)
	_ = request.Body.Close()
	close(w.answered)
	<-w.written
	return answer, err
}

type slowConn struct {
	net.Conn
	answered chan struct{}
}

func (c slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if bytes.HasPrefix(p, []byte("{")) { // the body
		<-c.answered
	}
	return n, err
}
