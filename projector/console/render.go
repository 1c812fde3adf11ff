package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"casdelius/projector/inspect"
	"casdelius/store"
)

//go:embed templates
var files embed.FS

// frame is what the layout shows around a page.
type frame struct {
	Title string
	Path  string // of the page
	Live  bool
	User  *User
	Local bool // there is no sign-in
	Now   time.Time
	Pages []entry
	Page  any
}

// entry leads to a page.
type entry struct {
	Address, Name string
	Here          bool
}

// entries lead to the pages that are not about one person, from any of them.
func entries(path string) []entry {
	all := []entry{
		{Address: "/", Name: "Home"},
		{Address: "/parked", Name: "Parked"},
		{Address: "/conflicts", Name: "Conflicts"},
		{Address: "/drift", Name: "Drift"},
		{Address: "/plan", Name: "Plan"},
		{Address: "/rejected", Name: "Rejected"},
		{Address: "/rebuild", Name: "Rebuild"},
		{Address: "/notices", Name: "Notices"},
		{Address: "/requests", Name: "Requests"},
	}
	for i := range all {
		all[i].Here = all[i].Address == path
	}
	return all
}

var pages = parse("home", "person", "row", "plan", "drift", "parked", "conflicts", "conflict", "rejected", "rejection", "rebuild", "notices",
	"requests", "request", "ask", "accessibility", "problem", "signed-out")

// parse makes a template of each page within the layout.
func parse(names ...string) map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"london": london, "rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"count": inspect.Count, "lines": func(s string) []string { return strings.Split(s, "\n") },
		"short": short, "has": strings.HasPrefix, "words": words,
		"date":    func(t time.Time) string { return t.In(store.London()).Format("2 Jan 2006") },
		"lasting": inspect.Lasting, "since": func(now, t time.Time) string { return inspect.Lasting(now.Sub(t).Seconds()) },
		"json": func(v any) (string, error) {
			text, err := json.Marshal(v)
			return string(text), err
		},
	}).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range names {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return all
}

// show writes a page. It is made whole first: half a page would look like a whole one.
func (c *Console) show(w http.ResponseWriter, r *http.Request, code int, u *User, p *page) {
	body, err := c.render("layout.html", r, u, p)
	if err != nil {
		c.config.Logger.ErrorContext(r.Context(), "a page could not be rendered", "page", r.URL.Path, "error", err)
		http.Error(w, "The page could not be made. The console's log has the error.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Add("Vary", "Accept")
	w.WriteHeader(code)
	_, _ = w.Write(body) //nolint:gosec // html/template has escaped it; and whoever asked may be gone
}

func (c *Console) render(part string, r *http.Request, u *User, p *page) ([]byte, error) {
	var body bytes.Buffer
	err := pages[p.name].ExecuteTemplate(&body, part, &frame{
		Title: p.title, Path: r.URL.Path, Live: p.live, User: u, Local: c.signer == nil, Now: c.config.Now(), Pages: entries(r.URL.Path), Page: p.data,
	})
	return body.Bytes(), err
}

// london is a time as people read it, with its zone; a dash for none.
func london(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.In(store.London()).Format("2 Jan 2006, 15:04:05 MST")
}

// short is the end of a long id, to tell it from others.
func short(id string) string {
	if len(id) <= 12 {
		return id
	}
	return "…" + id[len(id)-12:]
}

// words are a code in words: person-not-found is "Person not found".
func words(code any) string {
	text := strings.ReplaceAll(fmt.Sprint(code), "-", " ")
	return strings.ToUpper(text[:min(1, len(text))]) + text[min(1, len(text)):]
}
