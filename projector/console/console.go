package console

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/inspect"
	"casdelius/projector/requests"
	"casdelius/store"
)

// Ports are what the console asks.
type Ports struct {
	Histories     Histories
	People        People
	Waiting       Waiting
	Conflicts     Conflicts
	Progress      Progress
	Verifications Verifications
	Rejections    Rejections
	Requests      Requests
	Writer        Writer   // nil: views stand in the log alone, and nothing can be asked for
	Sessions      Sessions // needed by a sign-in
}

// Config says how the console works. A zero duration is its default.
type Config struct {
	SignIn *SignIn       // nil: the console is local, and only shows
	Every  time.Duration // between two looks for a live part; 2 s
	Stream time.Duration // after which a live part is asked for again; 5 min
	Logger *slog.Logger
	Now    func() time.Time // default: time.Now
}

// Console serves the pages.
type Console struct {
	ports   Ports
	config  Config
	mux     *http.ServeMux
	handler http.Handler
	signer  *signer // nil if the console is local
}

//go:embed static
var static embed.FS

// New makes a console.
func New(ports Ports, config Config) *Console {
	config.Every, config.Stream = cmp.Or(config.Every, 2*time.Second), cmp.Or(config.Stream, 5*time.Minute)
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Console{ports: ports, config: config, mux: http.NewServeMux()}
	c.handler = http.NewCrossOriginProtection().Handler(c.mux)
	if config.SignIn != nil {
		c.signer = newSigner(*config.SignIn, ports.Sessions)
		c.routeSignIn()
	} else {
		c.handler = localOnly(c.handler)
	}
	c.route()
	c.handler = secured(c.handler)
	return c
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

func (c *Console) route() {
	c.mux.Handle("GET /static/", cached(http.FileServerFS(static)))
	c.page("GET /{$}", View, c.home)
	c.page("GET /find", View, c.find)
	c.page("GET /person/{crn}", View, c.person)
	c.page("GET /person/{crn}/row", View, c.row)
	c.page("GET /referral/{referral}", View, c.referral)
	c.page("GET /plan", View, c.plan)
	c.page("GET /drift", View, c.drift)
	c.page("GET /parked", View, c.parked)
	c.page("GET /conflicts", View, c.conflicts)
	c.page("GET /conflicts/{number}", View, c.conflict)
	c.page("GET /rejected", View, c.rejected)
	c.page("GET /rejected/{sequence}", View, c.rejection)
	c.page("GET /rebuild", View, c.rebuild)
	c.page("GET /notices", View, c.notices)
	c.page("GET /requests", View, c.requests)
	c.page("GET /requests/{id}", View, c.request)
	c.page("GET /ask", Operate, c.ask)
	c.page("POST /ask", Operate, c.asked)
	c.page("GET /accessibility", View, func(*http.Request, *User) (*page, error) {
		return &page{name: "accessibility", title: "Accessibility"}, nil
	})
	c.page("GET /", View, func(*http.Request, *User) (*page, error) { return nil, missing("There is no such page.") })
}

// secured sets what browsers are to heed of every answer.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // pages are about people
		next.ServeHTTP(w, r)
	})
}

func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=300")
		next.ServeHTTP(w, r)
	})
}

// page is what a request is answered with.
type page struct {
	name, title string // of its template, and of the page
	data        any
	live        bool   // its template has a part that is live
	goTo        string // if it is not "" the answer is to look there

	person     store.CRN // who is shown, which is written down
	restricted bool      // the case is
}

// problem is an answer that is no page: why, and what to do.
type problem struct {
	Code        int
	Title, Text string
}

func (p *problem) Error() string { return p.Text }

func missing(format string, args ...any) error {
	return &problem{http.StatusNotFound, "Not found", fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return &problem{http.StatusBadRequest, "That cannot be looked for", fmt.Sprintf(format, args...)}
}

func forbidden(role Role, what string) error {
	return &problem{http.StatusForbidden, "You may not see this", fmt.Sprintf("%s needs the role %q, which you do not have.", what, role)}
}

// looker finds out what to show.
type looker func(r *http.Request, u *User) (*page, error)

// page serves what a looker finds, to those who have a role.
func (c *Console) page(pattern string, needs Role, look looker) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		u := c.user(w, r)
		if u == nil {
			return
		}
		p, err := c.look(r, u, needs, look)
		switch {
		case err != nil:
			c.fail(w, r, u, err)
		case p.goTo != "":
			http.Redirect(w, r, p.goTo, http.StatusSeeOther)
		case p.live && r.Header.Get("Accept") == eventStream:
			c.stream(w, r, u, func() (*page, error) { return look(r, u) })
		default:
			c.show(w, r, http.StatusOK, u, p)
		}
	})
}

// user is who asks. Whoever has not signed in is sent to do that, and nil is returned.
func (c *Console) user(w http.ResponseWriter, r *http.Request) *User {
	if c.signer == nil {
		u := local
		return &u
	}
	u, found, err := c.signer.user(r, c.config.Now())
	switch {
	case err != nil:
		c.fail(w, r, &u, err)
	case found:
		return &u
	case r.Method == http.MethodGet && r.Header.Get("Accept") != eventStream:
		http.Redirect(w, r, "/sign-in?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		c.fail(w, r, &u, &problem{http.StatusUnauthorized, "You have signed out", "Sign in again, and then ask for it again."})
	}
	return nil
}

// routeSignIn adds the pages that nobody has to be signed in for.
func (c *Console) routeSignIn() {
	answer := func(pattern string, do func(http.ResponseWriter, *http.Request) error) {
		c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := do(w, r); err != nil {
				c.fail(w, r, &User{}, err)
			}
		})
	}
	answer("GET /sign-in", c.signer.begin)
	answer("GET "+signedIn, func(w http.ResponseWriter, r *http.Request) error {
		u, err := c.signer.finish(w, r, c.config.Now())
		if err == nil {
			c.config.Logger.InfoContext(r.Context(), "somebody signed in", "user", u.Name, "roles", u.Roles)
		} else if errors.Is(err, errNoRole) {
			c.config.Logger.WarnContext(r.Context(), "a sign-in was refused", "error", err)
			err = &problem{http.StatusForbidden, "You may not use this console", "The provider signed you in, but not as somebody who has a role of the console. Ask your team for one."}
		}
		return err
	})
	answer("POST /sign-out", func(w http.ResponseWriter, r *http.Request) error { return c.signer.end(w, r, c.config.Now()) })
	answer("GET "+signedOut, func(w http.ResponseWriter, r *http.Request) error {
		c.show(w, r, http.StatusOK, &User{}, &page{name: "signed-out", title: "Signed out"})
		return nil
	})
}

// localOnly refuses requests that come by another name than this machine's: a page from
// elsewhere could have its own name lead here.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "The console has no sign-in, and is for this machine alone: http://localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// look finds out what to show, and writes down whom that shows.
func (c *Console) look(r *http.Request, u *User, needs Role, look looker) (*page, error) {
	if !u.May(needs) {
		return nil, forbidden(needs, "This page")
	}
	p, err := look(r, u)
	if err != nil {
		return nil, err
	}
	if p.restricted && !u.May(Restricted) {
		c.config.Logger.WarnContext(r.Context(), "a restricted case was not shown", "user", u.Name, "crn", p.person)
		return nil, forbidden(Restricted, "Delius marks this case as restricted or excluded. It")
	}
	if p.person == "" {
		return p, nil
	}
	c.config.Logger.InfoContext(r.Context(), "a person was looked at", "user", u.Name, "crn", p.person, "page", r.URL.Path)
	if c.ports.Writer != nil {
		err = c.ports.Writer.Record(r.Context(), audit.Entry{Who: u.Name, What: audit.Viewed, CRN: p.person}.With(map[string]any{"page": r.URL.Path}))
	}
	return p, err
}

// fail answers with what went wrong. What is not a mistake of whoever asks stands in the log.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, u *User, err error) {
	var p *problem
	var refusal *requests.Refusal
	switch {
	case errors.As(err, &p):
	case errors.Is(err, inspect.ErrNoHistory):
		p = &problem{http.StatusNotFound, "No events", "No event in the inbox is of that person or referral. CAS may not have raised one, or it is not stored yet."}
	case errors.Is(err, context.Canceled):
		return
	case errors.Is(err, ErrNoRejection):
		p = &problem{http.StatusNotFound, "Not found", "No rejected message has that sequence."}
	case errors.As(err, &refusal):
		p = &problem{http.StatusConflict, "That cannot be done", refusal.Error() + "."}
	case errors.Is(err, projector.ErrRetry):
		p = &problem{http.StatusServiceUnavailable, "Delius's database does not answer", "The page could not be read. Try again in a moment; the console's log has the error."}
	default:
		p = &problem{http.StatusInternalServerError, "The page could not be made", "The console's log has the error, with this page's address."}
	}
	if p.Code >= http.StatusInternalServerError {
		c.config.Logger.ErrorContext(r.Context(), "a page could not be made", "page", r.URL.Path, "error", err)
	}
	c.show(w, r, p.Code, u, &page{name: "problem", title: p.Title, data: p})
}
