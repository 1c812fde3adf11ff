package casapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"casdelius/ingest"
	"casdelius/store"
)

// tokens keeps one token for all. The library fetches tokens well but cannot be told
// that one is refused, so the keeping is done here.
type tokens struct {
	credentials clientcredentials.Config
	http        *http.Client
	timeout     time.Duration
	flight      singleflight.Group

	mu      sync.Mutex
	current *token // nil if none, or if the last was refused
}

// token is one that was fetched, with when it is to be replaced.
type token struct {
	*oauth2.Token
	renew time.Time // zero: when it is refused
}

// validToken names what is wrong with how a token is got.
func (c Config) validToken() error {
	if c.TokenURL == "" {
		return nil
	}
	var faults []error
	if u, err := url.Parse(c.TokenURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		faults = append(faults, fmt.Errorf("OAUTH2_TOKEN_URI is %q: want a plain http or https URL without a user", store.ShownURL(c.TokenURL)))
	}
	for _, v := range []struct{ name, value string }{{"OAUTH2_CLIENT_ID", c.ClientID}, {"OAUTH2_CLIENT_SECRET", c.ClientSecret}} {
		if v.value == "" {
			faults = append(faults, fmt.Errorf("%s is not set: the token endpoint (OAUTH2_TOKEN_URI) needs it", v.name))
		}
	}
	return errors.Join(faults...)
}

func newTokens(cfg Config, client *http.Client) *tokens {
	return &tokens{
		http:    client,
		timeout: cfg.Timeout,
		credentials: clientcredentials.Config{
			ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, TokenURL: cfg.TokenURL, AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
}

// get gives the current token, or fetches one: one request for all who wait. Where
// that fails, a token that has not ended yet still does.
func (t *tokens) get(ctx context.Context) (*token, error) {
	if current := t.kept(); current.fresh() {
		return current, nil
	}
	fetched := t.flight.DoChan("", func() (any, error) {
		if current := t.kept(); current.fresh() {
			return current, nil // fetched since the look above
		}
		return t.fetch(context.WithoutCancel(ctx))
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("fetch a token: %w", ctx.Err())
	case r := <-fetched:
		if r.Err == nil {
			return r.Val.(*token), nil
		}
		if old := t.kept(); old != nil && time.Now().Before(old.Expiry) {
			return old, nil
		}
		return nil, r.Err
	}
}

func (t *tokens) kept() *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// fresh says whether the token need not be replaced yet.
func (t *token) fresh() bool {
	return t != nil && (t.renew.IsZero() || time.Now().Before(t.renew))
}

// forget drops a token that the API refused, unless it was replaced meanwhile.
func (t *tokens) forget(refused *token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == refused {
		t.current = nil
	}
}

// earliest is how long before its end a token is replaced, at most a tenth of its life.
const earliest = 30 * time.Second

func (t *tokens) fetch(ctx context.Context) (*token, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, t.http), t.timeout)
	defer cancel()
	started := time.Now()
	raw, err := t.credentials.Token(ctx)
	if err != nil {
		return nil, fault(ingest.TokenUnavailable, "fetch a token from %s: %w", store.ShownURL(t.credentials.TokenURL), cause(err))
	}
	fresh := &token{Token: raw}
	if !raw.Expiry.IsZero() {
		fresh.renew = raw.Expiry.Add(-min(earliest, raw.Expiry.Sub(started)/10))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current = fresh
	return fresh, nil
}

// cause keeps of the library's error what is safe in a log: its own text holds the
// whole answer.
func cause(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		return fmt.Errorf("it answered %d %s: check OAUTH2_CLIENT_ID and OAUTH2_CLIENT_SECRET if that stays so",
			refused.Response.StatusCode, refused.ErrorCode)
	}
	if failed := new(url.Error); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
