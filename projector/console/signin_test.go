package console_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/stretchr/testify/require"

	"casdelius/projector/console"
)

// member is somebody whom the provider knows, with the claims of their token.
type member struct {
	*mockoidc.MockUser
	roles any
	alter func(*mockoidc.IDTokenClaims)
}

// Claims implements mockoidc.User.
func (m *member) Claims(_ []string, claims *mockoidc.IDTokenClaims) (jwt.Claims, error) {
	if m.alter != nil {
		m.alter(claims)
	}
	return &memberClaims{claims, "ada", m.roles}, nil
}

type memberClaims struct {
	*mockoidc.IDTokenClaims
	Name  string `json:"preferred_username"`
	Roles any    `json:"roles,omitempty"`
}

// provider is an OpenID provider of its own.
func provider(t *testing.T, middleware ...func(http.Handler) http.Handler) *mockoidc.MockOIDC {
	t.Helper()
	m, err := mockoidc.NewServer(nil)
	require.NoError(t, err)
	for _, one := range middleware {
		require.NoError(t, m.AddMiddleware(one))
	}
	listener := httptest.NewUnstartedServer(nil).Listener
	require.NoError(t, m.Start(listener, nil))
	t.Cleanup(func() { require.NoError(t, m.Shutdown()) })
	return m
}

// withSignIn is a world whose users a provider signs in.
func withSignIn(t *testing.T, m *mockoidc.MockOIDC) *world {
	t.Helper()
	return setup(t, options{now: time.Now(), signIn: func(s *console.SignIn) {
		s.Issuer, s.ClientID, s.ClientSecret, s.RolePrefix = m.Issuer(), m.ClientID, m.ClientSecret, "casdelius-"
		s.EndSession = m.Addr() + "/end"
	}})
}

// browserOf is a client with cookies of its own. It follows redirects, but not to elsewhere.
func (w *world) browserOf() *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	client := w.server.Client()
	return &http.Client{Jar: jar, Transport: client.Transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/end" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// reply is where an answer came from in the end, and where it sends on to.
type reply struct {
	at *url.URL
	to string
}

func (w *world) ask(client *http.Client, method, path string, header ...string) (code int, body string, from reply) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, nil)
	require.NoError(w.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := client.Do(r)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return answer.StatusCode, string(text), reply{answer.Request.URL, answer.Header.Get("Location")}
}

func (w *world) cookie(client *http.Client) string {
	at, err := url.Parse(w.url)
	require.NoError(w.t, err)
	for _, c := range client.Jar.Cookies(at) {
		if c.Name == "__Host-casdelius" {
			return c.Value
		}
	}
	return ""
}

// Catches a sign-in that loses where one wanted to go, a session that outlives its end or the
// sign-out, one that another can be made to use, and a secret that stands in the database.
func TestSigningInAndOut(t *testing.T) {
	t.Parallel()
	m := provider(t)
	w := withSignIn(t, m)
	w.story()
	w.set(time.Now())
	client := w.browserOf()
	m.QueueUser(&member{MockUser: mockoidc.DefaultUser(), roles: []string{"CASDELIUS_VIEW", "other"}})
	code, body, answer := w.ask(client, http.MethodGet, "/person/X000001?as-of=2024-03-08T13:00:00Z")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "/person/X000001?as-of=2024-03-08T13:00:00Z", answer.at.RequestURI())
	require.Contains(t, body, "Signed in as ada")
	require.NotContains(t, body, "Local console")
	require.Equal(t, "ada", w.audit()[0].Who)

	first := w.cookie(client)
	require.NotEmpty(t, first)
	var hash []byte
	require.NoError(t, w.delius.Pool.QueryRow(ctx, "select hash from projection.session").Scan(&hash))
	require.NotContains(t, first, string(hash))

	m.QueueUser(&member{MockUser: mockoidc.DefaultUser(), roles: "casdelius-view casdelius-operate"})
	_, _, answer = w.ask(client, http.MethodGet, "/sign-in?to=//elsewhere.example/")
	require.Equal(t, "/", answer.at.RequestURI(), "it leads nowhere else")
	second := w.cookie(client)
	require.NotEqual(t, first, second, "each sign-in has a session of its own")
	require.Equal(t, http.StatusUnauthorized, w.with(first), "the one before has ended")
	require.Equal(t, http.StatusOK, w.with(second))

	code, _, answer = w.ask(client, http.MethodPost, "/sign-out")
	require.Equal(t, http.StatusSeeOther, code)
	require.Equal(t, m.Addr()+"/end?client_id="+m.ClientID+"&post_logout_redirect_uri="+url.QueryEscape(w.url+"/signed-out"), answer.to)
	require.Empty(t, w.cookie(client))
	require.Equal(t, http.StatusUnauthorized, w.with(second), "a copy of the cookie is of no use")

	m.QueueUser(&member{MockUser: mockoidc.DefaultUser(), roles: []string{"casdelius-view"}})
	w.ask(client, http.MethodGet, "/parked")
	require.Equal(t, http.StatusOK, w.with(w.cookie(client)))
	third := w.cookie(client)
	w.set(w.now().Add(8*time.Hour + time.Second))
	require.Equal(t, http.StatusUnauthorized, w.with(third), "it has ended")
	for _, is := range []struct {
		after time.Duration
		left  int
	}{{time.Hour, 3}, {25 * time.Hour, 0}} {
		require.NoError(t, w.db.Pages.ForgetSessions(ctx, w.now().Add(is.after)))
		var left int
		require.NoError(t, w.delius.Pool.QueryRow(ctx, "select count(*) from projection.session").Scan(&left))
		require.Equal(t, is.left, left)
	}
}

// with asks for a page with a session's cookie.
func (w *world) with(session string) int {
	w.t.Helper()
	client := w.browserOf()
	client.Jar = nil
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/parked", nil)
	require.NoError(w.t, err)
	r.AddCookie(&http.Cookie{Name: "__Host-casdelius", Value: session})
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	require.NoError(w.t, err)
	answer.Body.Close()
	if answer.StatusCode == http.StatusSeeOther {
		return http.StatusUnauthorized // to the sign-in
	}
	return answer.StatusCode
}

// Catches a token that is believed although another has signed it, it has expired, it is for
// somebody else or of another sign-in, or its user has no role; and that begins a session.
func TestTokensThatAreNotRightAreRefused(t *testing.T) {
	t.Parallel()
	view := []string{"casdelius-view"}
	for name, is := range map[string]struct {
		member     member
		middleware func(http.Handler) http.Handler
	}{
		"forged":          {member{roles: view}, tampered(t, func(claims map[string]any) { claims["roles"] = "casdelius-view casdelius-operate" })},
		"unsigned":        {member{roles: view}, tampered(t, nil)},
		"expired":         {member: member{roles: view, alter: func(c *mockoidc.IDTokenClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) }}},
		"wrong audience":  {member: member{roles: view, alter: func(c *mockoidc.IDTokenClaims) { c.Audience = jwt.ClaimStrings{"another"} }}},
		"wrong issuer":    {member: member{roles: view, alter: func(c *mockoidc.IDTokenClaims) { c.Issuer = "https://elsewhere.example" }}},
		"another sign-in": {member: member{roles: view, alter: func(c *mockoidc.IDTokenClaims) { c.Nonce = "another" }}},
		"no role":         {member: member{}},
		"another's role":  {member: member{roles: []string{"view", "other-view"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var middleware []func(http.Handler) http.Handler
			if is.middleware != nil {
				middleware = append(middleware, is.middleware)
			}
			m := provider(t, middleware...)
			w := withSignIn(t, m)
			is.member.MockUser = mockoidc.DefaultUser()
			m.QueueUser(&is.member)
			client := w.browserOf()
			code, body, _ := w.ask(client, http.MethodGet, "/parked")
			require.Equal(t, http.StatusForbidden, code)
			require.Contains(t, body, "You may not use this console")
			require.Empty(t, w.cookie(client))
			var sessions int
			require.NoError(t, w.delius.Pool.QueryRow(ctx, "select count(*) from projection.session").Scan(&sessions))
			require.Zero(t, sessions)
		})
	}
}

// tampered changes the token on its way from the provider; with nil, it takes its signature off.
func tampered(t *testing.T, change func(map[string]any)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/token") {
				next.ServeHTTP(w, r)
				return
			}
			record := httptest.NewRecorder()
			next.ServeHTTP(record, r)
			var answer map[string]any
			if json.Unmarshal(record.Body.Bytes(), &answer) != nil {
				t.Error("the provider's answer is no JSON")
				return
			}
			token, ok := answer["id_token"].(string)
			if !ok {
				w.WriteHeader(record.Code) // the client tries another way
				return
			}
			parts := strings.Split(token, ".")
			if change == nil {
				parts[0], parts[2] = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)), ""
			} else {
				var claims map[string]any
				text, _ := base64.RawURLEncoding.DecodeString(parts[1])
				_ = json.NewDecoder(bytes.NewReader(text)).Decode(&claims)
				change(claims)
				text, _ = json.Marshal(claims)
				parts[1] = base64.RawURLEncoding.EncodeToString(text)
			}
			answer["id_token"] = strings.Join(parts, ".")
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
}

// Catches a sign-in that is finished in a browser in which it did not begin: somebody could be
// made to work as another.
func TestASignInIsFinishedWhereItBegan(t *testing.T) {
	t.Parallel()
	m := provider(t)
	w := withSignIn(t, m)
	for _, path := range []string{"/signed-in?state=x&code=y", "/signed-in"} {
		code, body, _ := w.ask(w.browserOf(), http.MethodGet, path)
		require.Equal(t, http.StatusBadRequest, code)
		require.Contains(t, body, "did not begin here")
	}
}

// Catches a form on another site that acts with the session of whoever opens it.
func TestPostsFromOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	m := provider(t)
	w := withSignIn(t, m)
	client := w.browserOf()
	m.QueueUser(&member{MockUser: mockoidc.DefaultUser(), roles: []string{"casdelius-view"}})
	w.ask(client, http.MethodGet, "/parked")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://elsewhere.example"}} {
		code, _, _ := w.ask(client, http.MethodPost, "/sign-out", header...)
		require.Equal(t, http.StatusForbidden, code)
	}
	require.Equal(t, http.StatusOK, w.with(w.cookie(client)))
}

// Catches a local console that answers by whatever name: a page from elsewhere could have its own
// name lead to this machine, and read what it shows.
func TestALocalConsoleAnswersByThisMachinesNameAlone(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	for host, want := range map[string]int{"elsewhere.example": http.StatusMisdirectedRequest, "localhost:1": http.StatusOK, "127.0.0.1": http.StatusOK, "[::1]:80": http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/parked", nil)
		require.NoError(t, err)
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, want, answer.StatusCode, host)
	}
}
