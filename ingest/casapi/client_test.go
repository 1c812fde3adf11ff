package casapi_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/ingest"
	"casdelius/ingest/casapi"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// setup starts an API and a client for it; change adjusts the client's configuration.
func setup(t *testing.T, change ...func(*casapi.Config)) (*casapitest.Server, *casapi.Client) {
	t.Helper()
	api := casapitest.Start(t)
	cfg := casapi.Config{
		BaseURLs: []string{api.URL()}, TokenURL: api.TokenURL(),
		ClientID: casapitest.ClientID, ClientSecret: casapitest.ClientSecret,
	}
	for _, c := range change {
		c(&cfg)
	}
	client, err := casapi.New(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return api, client
}

func requireFault(t *testing.T, want ingest.DetailFault, err error) {
	t.Helper()
	var detail *ingest.DetailError
	require.ErrorAs(t, err, &detail)
	require.Equal(t, want, detail.Fault, "%v", err)
}

func TestADetailComesExactlyAsServed(t *testing.T) {
	t.Parallel()
	api, client := setup(t)
	body := []byte(" {\"id\" : \"é\",\n\"x\":1e2}\n")
	for _, eventType := range append(store.Types(), "accommodation.cas3.assessment.updated") {
		url := api.DetailURL(eventType, "an id/with;odd? characters")
		if eventType.Known() {
			url = api.DetailURL(eventType, "an-id")
		} else {
			url = strings.ReplaceAll(url, "%2F", "-")
		}
		api.Put(url, body)
		got, err := client.Fetch(t.Context(), url)
		require.NoError(t, err)
		require.Equal(t, body, got)
	}
	require.Equal(t, 1, api.TokenRequests())
}

func TestEachAnswerHasItsFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault casapitest.Fault
		want  ingest.DetailFault
	}{
		"not found":         {casapitest.Fault{Status: 404}, ingest.DetailNotFound},
		"gone":              {casapitest.Fault{Status: 410}, ingest.DetailRefused},
		"forbidden":         {casapitest.Fault{Status: 403}, ingest.DetailRefused},
		"unauthorised":      {casapitest.Fault{Status: 401}, ingest.DetailRefused},
		"no content":        {casapitest.Fault{Status: 204}, ingest.DetailRefused},
		"redirect":          {casapitest.Fault{Status: 302, Location: "/elsewhere"}, ingest.DetailRefused},
		"too many requests": {casapitest.Fault{Status: 429}, ingest.DetailUnavailable},
		"server error":      {casapitest.Fault{Status: 500}, ingest.DetailUnavailable},
		"bad gateway":       {casapitest.Fault{Status: 502}, ingest.DetailUnavailable},
		"cut short":         {casapitest.Fault{Cut: true}, ingest.DetailUnavailable},
		"too slow":          {casapitest.Fault{Delay: time.Hour}, ingest.DetailUnavailable},
		"too large":         {casapitest.Fault{Body: bytes.Repeat([]byte("1"), 512<<10+1)}, ingest.DetailTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, client := setup(t, func(cfg *casapi.Config) {
				if c.fault.Delay > 0 {
					cfg.TokenURL, cfg.Timeout = "", 50*time.Millisecond
				}
			})
			url := api.DetailURL(store.PersonArrived, "1")
			api.Put(url, []byte(`{}`))
			api.Put("/elsewhere", []byte(`{}`))
			api.Fail(url, c.fault)
			_, err := client.Fetch(t.Context(), url)
			requireFault(t, c.want, err)
			require.Zero(t, api.Requests("/elsewhere"))
			require.Equal(t, c.want == ingest.DetailUnavailable, errors.Is(err, ingest.ErrUnavailable))
		})
	}
}

func TestTheLargestDetailIsTaken(t *testing.T) {
	t.Parallel()
	api, client := setup(t)
	url := api.DetailURL(store.PersonArrived, "1")
	api.Put(url, bytes.Repeat([]byte("1"), 512<<10))
	body, err := client.Fetch(t.Context(), url)
	require.NoError(t, err)
	require.Len(t, body, 512<<10)
}

func TestARefusedConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	api, client := setup(t, func(cfg *casapi.Config) { cfg.TokenURL = "" })
	url := api.DetailURL(store.PersonArrived, "1")
	api.Close()
	_, err := client.Fetch(t.Context(), url)
	requireFault(t, ingest.DetailUnavailable, err)
}

func TestACallerWhoGivesUpGetsItsOwnError(t *testing.T) {
	t.Parallel()
	api, client := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Fetch(ctx, api.DetailURL(store.PersonArrived, "1"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ingest.ErrUnavailable)
}

func TestOneTokenIsFetchedForMany(t *testing.T) {
	t.Parallel()
	api, client := setup(t)
	url := api.DetailURL(store.PersonArrived, "1")
	api.Put(url, []byte(`{}`))
	fetchAll := func() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := client.Fetch(t.Context(), url); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	fetchAll()
	require.Equal(t, 1, api.TokenRequests())

	api.RefuseTokens()
	fetchAll()
	require.Equal(t, 2, api.TokenRequests(), "one new token for all that were refused")
}

func TestATokenIsReplacedBeforeItEnds(t *testing.T) {
	t.Parallel()
	api, client := setup(t)
	url := api.DetailURL(store.PersonArrived, "1")
	api.Put(url, []byte(`{}`))
	api.SetTokenLifetime(time.Second)
	require.Eventually(t, func() bool {
		_, err := client.Fetch(t.Context(), url)
		require.NoError(t, err)
		return api.TokenRequests() >= 3
	}, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, api.Requests(url), api.Requests(""))
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	api, client := setup(t)
	url := api.DetailURL(store.PersonArrived, "1")
	api.Put(url, []byte(`{"id":"1"}`))
	api.Fail(url, casapitest.Fault{Status: http.StatusUnauthorized, Times: 1})
	body, err := client.Fetch(t.Context(), url)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"1"}`, string(body))
	require.Equal(t, 2, api.TokenRequests())

	api.Fail(url, casapitest.Fault{Status: http.StatusUnauthorized})
	_, err = client.Fetch(t.Context(), url)
	requireFault(t, ingest.DetailRefused, err)
	require.Equal(t, 3, api.TokenRequests())
	require.Equal(t, 4, api.Requests(url))
}

func TestATokenThatCannotBeHadIsNobodysFault(t *testing.T) {
	t.Parallel()
	api, client := setup(t)
	url := api.DetailURL(store.PersonArrived, "1")
	for _, f := range []casapitest.Fault{{Status: 500}, {Status: 429}, {Status: 401}, {Status: 302, Location: "/"}, {Body: []byte(`{}`), Cut: true}} {
		api.FailTokens(f)
		_, err := client.Fetch(t.Context(), url)
		requireFault(t, ingest.TokenUnavailable, err)
		require.NotContains(t, err.Error(), casapitest.ClientSecret)
	}
	require.Zero(t, api.Requests(""), "nothing is asked for without a token")
}

func TestOnlyAllowedURLsAreAsked(t *testing.T) {
	t.Parallel()
	api, client := setup(t, func(cfg *casapi.Config) { cfg.BaseURLs[0] += "/events/cas3/" })
	host := strings.TrimPrefix(api.URL(), "http://")
	for _, url := range []string{
		"", "x", "ftp://" + host + "/events/cas3/x", "https://" + host + "/events/cas3/x",
		"//" + host + "/events/cas3/x", "http:" + host + "/events/cas3/x",
		"http://localhost:1/events/cas3/x", "http://127.0.0.1/events/cas3/x",
		"http://user@" + host + "/events/cas3/x", "http://user:pass@" + host + "/events/cas3/x",
		"http://" + host + "@evil.example/events/cas3/x", "http://" + host + ".evil.example/events/cas3/x",
		api.URL() + "/events/cas2/x", api.URL() + "/events/cas3x", api.URL() + "/EVENTS/cas3/x",
		api.URL() + "/events/cas3/../cas2/x", api.URL() + "/events/cas3/..", api.URL() + "/events/cas3/./x",
		api.URL() + "/events/cas3//x", api.URL() + "/events/cas3/%2e%2e/x", api.URL() + "/events/cas3/..%2fx",
		api.URL() + "/events/cas3/%2E%2E%2Fx", api.URL() + "/events/cas3/%252e%252e%252fx",
		api.URL() + `/events/cas3/..\x`, api.URL() + "/events/cas3/..%5cx", api.URL() + "/events/cas3/..;/x",
		api.URL() + "/events/cas3/x#y", api.URL() + "/events/cas3/x#", api.URL() + "/events/cas3/\nx", api.URL() + "/events/cas3/%zz",
	} {
		_, err := client.Fetch(t.Context(), url)
		requireFault(t, ingest.URLForbidden, err)
	}
	require.Zero(t, api.TokenRequests())

	for _, url := range []string{api.URL() + "/events/cas3/x", api.URL() + "/events/cas3/x?y=../z", "HTTP://" + host + "/events/cas3/a%20b"} {
		_, err := client.Fetch(t.Context(), url)
		requireFault(t, ingest.DetailNotFound, err)
	}
}

func TestAWrongConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]casapi.Config{
		"MESSAGING_CONSUMER_DETAIL_URLS":    {},
		`DETAIL_URLS has "cas.example.com"`: {BaseURLs: []string{"cas.example.com"}},
		"it has a query":                    {BaseURLs: []string{"https://cas.example.com/?x=y"}},
		"OAUTH2_TOKEN_URI":                  {BaseURLs: []string{"https://cas.example.com"}, TokenURL: "auth.example.com"},
		"OAUTH2_CLIENT_SECRET":              {BaseURLs: []string{"https://cas.example.com"}, TokenURL: "https://auth.example.com", ClientID: "x"},
	} {
		_, err := casapi.New(cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := casapi.New(casapi.Config{BaseURLs: []string{"a", "https://cas.example.com", "ftp://b"}, TokenURL: "ftp://user:secret@auth"})
	for _, want := range []string{`"a"`, `"ftp://b"`, "OAUTH2_TOKEN_URI", "OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET"} {
		require.ErrorContains(t, err, want, "all faults are named at once")
	}
	for _, secret := range []string{"https://user:secret@cas.example.com", "https://user:se cret@cas", "user:secret@cas", "https://user:%zzsecret@cas", "https://user:secret@a@b"} {
		err := casapi.Config{BaseURLs: []string{secret}, TokenURL: secret}.Validate()
		require.ErrorContains(t, err, "MESSAGING_CONSUMER_DETAIL_URLS")
		require.ErrorContains(t, err, "OAUTH2_TOKEN_URI")
		require.NotRegexp(t, "se ?cret", strings.ReplaceAll(err.Error(), "OAUTH2_CLIENT_SECRET", ""))
		require.Regexp(t, `has "(https://(cas|cas\.example\.com|b)|\(no web URL\))"`, err.Error(), "what is no secret is named")
	}
}

func FuzzNoURLLeavesTheAllowedPath(f *testing.F) {
	api, err := casapitest.Run("127.0.0.1:0")
	require.NoError(f, err)
	f.Cleanup(api.Close)
	client, err := casapi.New(casapi.Config{BaseURLs: []string{api.URL() + "/events"}})
	require.NoError(f, err)
	f.Cleanup(client.Close)
	for _, seed := range []string{"/events/cas3/x", "/events/../x", "/events/..;/x", "/events/%2e%2e/x", "@evil", "/eventsx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		_, err := client.Fetch(t.Context(), api.URL()+rest)
		var detail *ingest.DetailError
		require.ErrorAs(t, err, &detail)
		if detail.Fault != ingest.URLForbidden {
			require.True(t, rest == "/events" || strings.HasPrefix(rest, "/events/") || strings.HasPrefix(rest, "/events?"), "%q", rest)
			require.NotContains(t, rest, "/../")
		}
	})
}
