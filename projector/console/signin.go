package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Session is somebody who has signed in.
type Session struct {
	User
	Began, Ends time.Time
}

// Sessions keeps sessions by the hash of what the browser has: whoever reads the table cannot be
// somebody by it.
type Sessions interface {
	Begin(ctx context.Context, hash []byte, s Session) error
	// Find gives a session that has neither ended nor been ended; false if there is none.
	Find(ctx context.Context, hash []byte, now time.Time) (Session, bool, error)
	End(ctx context.Context, hash []byte, now time.Time) error
}

// SignIn says by which provider users are signed in.
type SignIn struct {
	URL          string // of the console, as browsers reach it
	Issuer       string
	ClientID     string
	ClientSecret string // "" for a public client
	RolesClaim   string // "roles"
	RolePrefix   string // before the names of the roles
	Lifetime     time.Duration

	// Where the provider's endpoints are, if it does not tell at its issuer's address.
	Authorize, Token, Keys, EndSession string
}

// Validate names what is missing or wrong.
func (s *SignIn) Validate() error {
	var all []error
	for name, text := range map[string]string{"CONSOLE_URL": s.URL, "CONSOLE_OIDC_ISSUER": s.Issuer, "CONSOLE_OIDC_CLIENT_ID": s.ClientID} {
		if text == "" {
			all = append(all, fmt.Errorf("%s is not set: a sign-in needs it", name))
		}
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1") {
		all = append(all, fmt.Errorf("CONSOLE_URL is %q: want the console's address as browsers reach it, such as https://console.example.org", s.URL))
	}
	if given := [3]bool{s.Authorize != "", s.Token != "", s.Keys != ""}; given != [3]bool{} && given != [3]bool{true, true, true} {
		all = append(all, errors.New("of CONSOLE_OIDC_AUTHORIZE_URL, CONSOLE_OIDC_TOKEN_URL and CONSOLE_OIDC_KEYS_URL some are set and some are not: set all, or none to have the issuer tell"))
	}
	return errors.Join(all...)
}

const (
	sessionCookie = "__Host-casdelius"
	signInCookie  = "__Host-casdelius-sign-in"
	// signInLimit is how long somebody may take at the provider.
	signInLimit = 10 * time.Minute
	signedIn    = "/signed-in"
	signedOut   = "/signed-out"
)

var errNoRole = errors.New("it may not use the console")

// signer signs users in and out.
type signer struct {
	SignIn
	sessions Sessions

	mu       sync.Mutex
	provider *oidc.Provider // nil until it was asked
}

func newSigner(s SignIn, sessions Sessions) *signer {
	s.RolesClaim, s.Lifetime = cmp.Or(s.RolesClaim, "roles"), cmp.Or(s.Lifetime, 8*time.Hour)
	s.URL = strings.TrimSuffix(s.URL, "/")
	return &signer{SignIn: s, sessions: sessions}
}

// ask gives the provider, which is asked where its endpoints are when it is first needed: the
// console starts without it.
func (s *signer) ask(ctx context.Context) (*oidc.Provider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provider != nil {
		return s.provider, nil
	}
	long := context.WithoutCancel(ctx) // the keys are fetched with it for ever
	if s.Authorize != "" {
		known := oidc.ProviderConfig{IssuerURL: s.Issuer, AuthURL: s.Authorize, TokenURL: s.Token, JWKSURL: s.Keys}
		s.provider = known.NewProvider(long)
		return s.provider, nil
	}
	provider, err := oidc.NewProvider(long, s.Issuer)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its endpoints: %w", s.Issuer, err)
	}
	s.provider = provider
	return provider, nil
}

func (s *signer) oauth2(provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, Endpoint: provider.Endpoint(), RedirectURL: s.URL + signedIn,
		Scopes: []string{oidc.ScopeOpenID, "profile"},
	}
}

// attempt is a sign-in that has begun. The browser keeps it meanwhile.
type attempt struct{ State, Nonce, Verifier, To string }

// begin sends the browser to the provider.
func (s *signer) begin(w http.ResponseWriter, r *http.Request) error {
	provider, err := s.ask(r.Context())
	if err != nil {
		return err
	}
	a := attempt{rand.Text(), rand.Text(), oauth2.GenerateVerifier(), localPath(r.URL.Query().Get("to"))}
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	setCookie(w, signInCookie, base64.RawURLEncoding.EncodeToString(text), signInLimit)
	http.Redirect(w, r, s.oauth2(provider).AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.Verifier), oidc.Nonce(a.Nonce)), http.StatusSeeOther)
	return nil
}

// localPath is a page of ours that a sign-in may lead back to.
func localPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(to, "//") || strings.ContainsRune(to, '\\') {
		return "/"
	}
	return u.RequestURI()
}

// finish begins a session for whom the provider has sent back.
func (s *signer) finish(w http.ResponseWriter, r *http.Request, now time.Time) (User, error) {
	var a attempt
	if cookie, err := r.Cookie(signInCookie); err == nil {
		if text, err := base64.RawURLEncoding.DecodeString(cookie.Value); err == nil {
			_ = json.Unmarshal(text, &a) // else it is no attempt, which is found below
		}
	}
	setCookie(w, signInCookie, "", 0)
	q := r.URL.Query()
	if a.State == "" || subtle.ConstantTimeCompare([]byte(a.State), []byte(q.Get("state"))) == 0 {
		return User{}, &problem{http.StatusBadRequest, "The sign-in did not begin here", "It took too long, or was begun in another browser. Open the page again."}
	}
	if reason := q.Get("error"); reason != "" {
		return User{}, fmt.Errorf("the provider refused the sign-in: %.100q: %w", reason, errNoRole)
	}
	u, err := s.exchange(r.Context(), q.Get("code"), a, now)
	if err != nil {
		return u, err
	}
	if old := sessionHash(r); old != nil {
		if err := s.sessions.End(r.Context(), old, now); err != nil {
			return u, err
		}
	}
	id := rand.Text() + rand.Text()
	if err := s.sessions.Begin(r.Context(), hashOf(id), Session{User: u, Began: now, Ends: now.Add(s.Lifetime)}); err != nil {
		return u, err
	}
	setCookie(w, sessionCookie, id, s.Lifetime)
	http.Redirect(w, r, localPath(a.To), http.StatusSeeOther)
	return u, nil
}

// exchange has the provider say who signed in, and believes what it has signed.
func (s *signer) exchange(ctx context.Context, code string, a attempt, now time.Time) (User, error) {
	provider, err := s.ask(ctx)
	if err != nil {
		return User{}, err
	}
	answer, err := s.oauth2(provider).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return User{}, fmt.Errorf("exchanging the code: %w: %w", err, errNoRole)
	}
	text, _ := answer.Extra("id_token").(string)
	verifier := provider.Verifier(&oidc.Config{ClientID: s.ClientID, Now: func() time.Time { return now }})
	token, err := verifier.Verify(ctx, text)
	if err != nil {
		return User{}, fmt.Errorf("verifying the token: %w: %w", err, errNoRole)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) == 0 {
		return User{}, fmt.Errorf("the token is of another sign-in: %w", errNoRole)
	}
	return userOf(token, s.RolesClaim, s.RolePrefix)
}

// user is who asks; false if nobody has signed in.
func (s *signer) user(r *http.Request, now time.Time) (User, bool, error) {
	hash := sessionHash(r)
	if hash == nil {
		return User{}, false, nil
	}
	session, found, err := s.sessions.Find(r.Context(), hash, now)
	return session.User, found, err
}

// end ends the session here, and then that at the provider.
func (s *signer) end(w http.ResponseWriter, r *http.Request, now time.Time) error {
	if hash := sessionHash(r); hash != nil {
		if err := s.sessions.End(r.Context(), hash, now); err != nil {
			return err
		}
	}
	setCookie(w, sessionCookie, "", 0)
	http.Redirect(w, r, s.endSession(r.Context()), http.StatusSeeOther)
	return nil
}

// endSession is where the provider ends its own session, or our page if it does not say where.
func (s *signer) endSession(ctx context.Context) string {
	to := s.EndSession
	if provider, err := s.ask(ctx); to == "" && err == nil {
		var known struct {
			EndSession string `json:"end_session_endpoint"`
		}
		_ = provider.Claims(&known) // one that was not asked has none
		to = known.EndSession
	}
	u, err := url.Parse(to)
	if to == "" || err != nil {
		return signedOut
	}
	q := u.Query()
	q.Set("client_id", s.ClientID)
	q.Set("post_logout_redirect_uri", s.URL+signedOut)
	u.RawQuery = q.Encode()
	return u.String()
}

func sessionHash(r *http.Request) []byte {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || cookie.Value == "" {
		return nil
	}
	return hashOf(cookie.Value)
}

func hashOf(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:]
}

// setCookie sets a cookie that goes to this host alone; with no value, removes it.
func setCookie(w http.ResponseWriter, name, value string, lifetime time.Duration) {
	age := int(lifetime.Seconds())
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
