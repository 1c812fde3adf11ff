package casapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"casdelius/ingest"
	"casdelius/store"
	"casdelius/store/failpoint"
)

const (
	maxBody   = 512 << 10 // bytes of the largest detail that is taken
	beginning = 64 << 10  // bytes that are read of a larger one
)

// Config says where details may come from and how to get a token. Only BaseURLs is
// required.
type Config struct {
	BaseURLs     []string      // under which details may be fetched
	TokenURL     string        // of the OAuth2 token endpoint; "" fetches without a token
	ClientID     string        // client credentials, sent by basic authentication
	ClientSecret string        //
	Timeout      time.Duration // of one request, its body included; 10 s if 0
	Connections  int           // kept open to the API; 64 if 0
}

// Client fetches details. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	allowed allowed
	tokens  *tokens // nil where none is needed
	timeout time.Duration
}

var _ ingest.Details = (*Client)(nil)

// Validate names all that is wrong, each by its variable.
func (c Config) Validate() error {
	_, err := parseAllowed(c.BaseURLs)
	return errors.Join(err, c.validToken())
}

// New makes a client. It sends nothing yet.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	bases, err := parseAllowed(cfg.BaseURLs)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Connections == 0 {
		cfg.Connections = 64
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 2*cfg.Connections, cfg.Connections
	transport.DisableCompression = true // a detail is kept exactly as served
	c := &Client{
		allowed: bases,
		timeout: cfg.Timeout,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if cfg.TokenURL != "" {
		c.tokens = newTokens(cfg, c.http)
	}
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Fetch gets the detail at a URL: the body of a 200, byte for byte, of at most
// 512 KiB. A 401 gets a second try with a new token.
//
// The URL must be http or https and lie under an allowed base URL: same scheme, host
// and port, and a path that goes on where the base's ends, at a slash. It may have a
// query, but no user, no fragment, and no path that would have to be cleaned first.
//
// Its errors are an *[ingest.DetailError], or that of ctx if it ended.
func (c *Client) Fetch(ctx context.Context, rawURL string) ([]byte, error) {
	u, err := c.allowed.check(rawURL)
	if err != nil {
		return nil, fault(ingest.URLForbidden, "the detailUrl %q is not allowed: %w", store.ShownURL(rawURL), err)
	}
	t, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	var body []byte
	var status int
	err = failpoint.Around(ctx, failpoint.Detail, func() error {
		body, status, err = c.get(ctx, u, t)
		return err
	})
	if err == nil && status == http.StatusUnauthorized && t != nil {
		c.tokens.forget(t)
		if t, err = c.token(ctx); err != nil {
			return nil, err
		}
		body, status, err = c.get(ctx, u, t)
	}
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusOK:
		return body, nil
	case status == http.StatusNotFound:
		return nil, fault(ingest.DetailNotFound, "the detail at %s is not there: 404", store.ShownURL(rawURL))
	case status == http.StatusTooManyRequests, status >= 500:
		return nil, fault(ingest.DetailUnavailable, "the detail at %s: the CAS API answered %d", store.ShownURL(rawURL), status)
	case status >= 300 && status < 400:
		return nil, fault(ingest.DetailRefused, "the detail at %s: the CAS API answered %d, and redirects are not followed", store.ShownURL(rawURL), status)
	}
	return nil, fault(ingest.DetailRefused, "the detail at %s: the CAS API answered %d", store.ShownURL(rawURL), status)
}

// token is the token to send, nil for none.
func (c *Client) token(ctx context.Context) (*token, error) {
	if c.tokens == nil {
		return nil, nil
	}
	return c.tokens.get(ctx)
}

// get makes one request. The body is read for a 200 only.
func (c *Client) get(ctx context.Context, u *url.URL, t *token) (body []byte, status int, err error) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, 0, fault(ingest.URLForbidden, "the detailUrl %q cannot be requested", store.ShownURL(u.String()))
	}
	req.Header.Set("Accept", "application/json")
	if t != nil {
		t.SetAuthHeader(req)
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, c.unanswered(ctx, u, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		// What is left of a short answer is read, so that its connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		return nil, resp.StatusCode, nil
	}
	length := resp.ContentLength
	if length > maxBody {
		length = beginning
	}
	body, err = readAll(resp.Body, length)
	switch {
	case err != nil:
		return nil, 0, c.unanswered(ctx, u, err)
	case resp.ContentLength > maxBody || len(body) > maxBody:
		err := fmt.Errorf("the detail at %s has more than %d bytes", store.ShownURL(u.String()), maxBody)
		return nil, 0, &ingest.DetailError{Fault: ingest.DetailTooLarge, Err: err, Answer: body[:beginning]}
	}
	return body, resp.StatusCode, nil
}

// readAll reads one byte more than is taken at most, of a body that says how long it
// is, or does not (-1).
func readAll(r io.Reader, length int64) ([]byte, error) {
	if length >= 0 {
		body := make([]byte, length)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(r, maxBody+1))
}

// unanswered is a request that got no whole answer: the API's doing, unless the caller
// gave up.
func (c *Client) unanswered(ctx context.Context, u *url.URL, err error) error {
	shown := store.ShownURL(u.String())
	if ctx.Err() != nil {
		return fmt.Errorf("fetch the detail at %s: %w", shown, ctx.Err())
	}
	var cause *url.Error
	if errors.As(err, &cause) {
		if cause.Timeout() {
			return fault(ingest.DetailUnavailable, "the detail at %s: no answer within %s", shown, c.timeout)
		}
		err = cause.Err
	}
	return fault(ingest.DetailUnavailable, "the detail at %s: %w", shown, err)
}

func fault(f ingest.DetailFault, format string, args ...any) error {
	return &ingest.DetailError{Fault: f, Err: fmt.Errorf(format, args...)}
}
