package casapi

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"casdelius/ingest"
)

// places are the hosts and paths that requests with a token went to, of a network that answers
// every request, under /api/redirect with a redirect to somewhere else.
type places struct {
	mu  sync.Mutex
	all []string
}

func (p *places) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		p.all = append(p.all, r.URL.Scheme+"://"+r.URL.Host+r.URL.EscapedPath())
	}
	response := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2, Request: r}
	if strings.HasPrefix(r.URL.Path, "/api/redirect") {
		response.StatusCode = http.StatusFound
		response.Header.Set("Location", "https://evil.example/api/1")
	}
	return response, nil
}

// elsewhere are URLs that lead to another place than https://cas.example/api, or that some
// reader between here and there could take for one that does.
var elsewhere = strings.Split(strings.TrimSpace(`
https://evil.example/api/1
https://evil.example:443/api/1
https://cas.example.evil.example/api/1
https://evilcas.example/api/1
https://cas.example.:443/api/1
https://cas.exampl/api/1
https://cas.example@evil.example/api/1
https://cas.example:443@evil.example/api/1
https://cas.example%40evil.example/api/1
https://cas.example%2fevil.example/api/1
https://cas.example/api@evil.example:80@evil.example/1
https://user@cas.example/api/1
https://user:password@cas.example/api/1
https://:@cas.example/api/1
https://@cas.example/api/1
https://evil.example#@cas.example/api/1
https://evil.example?@cas.example/api/1
https://evil.example\@cas.example/api/1
https://cas.example\@evil.example/api/1
https://cas.example\.evil.example/api/1
https://cas.example\evil.example/api/1
https:\\cas.example\api\1
https:/\cas.example/api/1
https:\/\/evil.example/api/1
https:/cas.example/api/1
https:cas.example/api/1
https:///cas.example/api/1
https:///evil.example/api/1
//cas.example/api/1
//evil.example/api/1
/api/1
cas.example/api/1
http://cas.example/api/1
http://cas.example:443/api/1
http://cas.example:80/api/1
ftp://cas.example/api/1
file:///api/1
file://cas.example/api/1
javascript:https://cas.example/api/1
data:text/plain,https://cas.example/api/1
gopher://cas.example/api/1
ws://cas.example/api/1
https://cas.example:80/api/1
https://cas.example:8443/api/1
https://cas.example:4430/api/1
https://cas.example:0443/api/1
https://cas.example:443:80/api/1
https://cas.example:-443/api/1
https://cas.example:x/api/1
https://cas.example/
https://cas.example
https://cas.example/ap
https://cas.example/apix
https://cas.example/api-evil/1
https://cas.example/API/1
https://cas.example/api.evil/1
https://cas.example/api;x/1
https://cas.example/api/..
https://cas.example/api/../1
https://cas.example/api/../admin
https://cas.example/api/./1
https://cas.example/api/x/../../admin
https://cas.example/api/..;/admin
https://cas.example/api/..;x=y/admin
https://cas.example/api/.;/admin
https://cas.example/api/%2e%2e/admin
https://cas.example/api/%2E%2E/admin
https://cas.example/api/.%2e/admin
https://cas.example/api/%2e/admin
https://cas.example/api/%252e%252e/admin
https://cas.example/api%2f..%2fadmin
https://cas.example/api/..%2fadmin
https://cas.example/api/..%5cadmin
https://cas.example/api/..\admin
https://cas.example/api\..\admin
https://cas.example/api//1
https://cas.example//api/1
https://cas.example//evil.example/api/1
https://cas.example/api/%00
https://cas.example/api/%2fadmin
https://cas.example/%61pi-evil/1
https://cas.example/admin?/api/1
https://cas.example/admin#/api/1
https://cas.example/api/1#fragment
https://cas.example/api/1#@evil.example
https://[::1]/api/1
https://[::ffff:127.0.0.1]/api/1
https://[cas.example]/api/1
https://[::1%25cas.example]/api/1
https://127.0.0.1/api/1
https://2130706433/api/1
https://0x7f.1/api/1
https://localhost/api/1
https://169.254.169.254/latest/meta-data
https://cаs.example/api/1
https://xn--cs-7ka.example/api/1
https://cas。example/api/1
https://cas．example/api/1
https://ｃas.example/api/1
https://cas.example%00.evil.example/api/1
https://cas.example%0a.evil.example/api/1
https://cas.example .evil.example/api/1
https://cas.example%20/api/1
https://cas.example,evil.example/api/1
https://cas.example;evil.example/api/1
https://cas.example&evil.example/api/1
https://*.example/api/1
`), "\n")

// hostile are these, and those with bytes that no text of lines can have.
func hostile() []string {
	return append(append([]string{}, elsewhere...),
		"https://evil.example/\thttps://cas.example/api/1", "https://cas.example\t.evil.example/api/1", "https://cas.example\r\nHost: evil.example/api/1",
		"https://cas.example/api/1\r\nX: y", "https://cas.example\x00.evil.example/api/1", "\thttps://evil.example/api/1", "")
}

// leaks are the URLs by which a token leaves for another place than is allowed, where a check
// decides what is fetched.
func leaks(t *testing.T, urls []string, check func(string) (*url.URL, error)) (leaks []string) {
	t.Helper()
	went := &places{}
	client, err := New(Config{BaseURLs: []string{"https://cas.example/api"}, TokenURL: "https://auth.example/token", ClientID: "id", ClientSecret: "secret"})
	require.NoError(t, err)
	client.http.Transport = went
	client.tokens.current = &token{Token: &oauth2.Token{AccessToken: "token", TokenType: "Bearer", Expiry: time.Now().Add(time.Hour)}}
	for _, raw := range urls {
		went.all = nil
		if check == nil {
			_, _ = client.Fetch(t.Context(), raw)
		} else if u, err := check(raw); err == nil {
			_, _, _ = client.get(t.Context(), u, client.tokens.current)
		}
		for _, place := range went.all {
			if !strings.HasPrefix(place, "https://cas.example/api/") && !strings.HasPrefix(place, "https://cas.example:443/api/") && !strings.HasPrefix(place, "https://CAS.example/api/") ||
				strings.Contains(place, "..") || strings.Contains(strings.ToLower(place), "%2e") {
				leaks = append(leaks, raw)
				break
			}
		}
	}
	return leaks
}

// The control compares the beginning of the URL, as text.
func TestTheTokenGoesNowhereElse(t *testing.T) {
	t.Parallel()
	urls := hostile()
	require.GreaterOrEqual(t, len(urls), 80)
	require.Empty(t, leaks(t, append(urls, "https://cas.example/api/redirect/1"), nil))

	// None of them is fetched at all, but those that only ask for a redirect, or for what is allowed.
	client, err := New(Config{BaseURLs: []string{"https://cas.example/api"}})
	require.NoError(t, err)
	went := &places{}
	client.http.Transport = went
	for _, raw := range urls {
		_, err := client.Fetch(context.Background(), raw)
		var failure *ingest.DetailError
		require.ErrorAs(t, err, &failure, "%q", raw)
		require.Equal(t, ingest.URLForbidden, failure.Fault, "%q", raw)
		require.NotContains(t, err.Error(), "password", "%q", raw)
	}
	for _, raw := range []string{"https://cas.example/api/1", "https://CAS.example/api/1", "https://cas.example:443/api/1", "https://cas.example/api/1?x=..%2f"} {
		_, err := client.Fetch(context.Background(), raw)
		require.NoError(t, err, raw)
	}

	caught := leaks(t, urls, func(raw string) (*url.URL, error) {
		if !strings.HasPrefix(raw, "https://cas.example") {
			return nil, io.EOF
		}
		return url.Parse(raw)
	})
	require.Contains(t, caught, "https://cas.example@evil.example/api/1")
	require.Contains(t, caught, "https://cas.example.evil.example/api/1")
	require.Contains(t, caught, "https://cas.example/api/../admin")
	require.Greater(t, len(caught), 20)
}
