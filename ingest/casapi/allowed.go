package casapi

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"casdelius/store"
)

// allowed are the base URLs under which details may be fetched.
type allowed []base

// base is a base URL in parts that can be compared.
type base struct {
	scheme, host, port string // port is never "", host in lower case
	path               string // decoded, without a slash at its end
}

// parseAllowed takes base URLs: http or https, with a host, without user, query and
// fragment. A slash at the end means nothing. Every fault is named.
func parseAllowed(urls []string) (allowed, error) {
	var list allowed
	var faults []error
	for _, s := range urls {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		u, err := parse(s)
		if err == nil && (u.RawQuery != "" || u.ForceQuery) {
			err = fmt.Errorf("it has a query")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("MESSAGING_CONSUMER_DETAIL_URLS has %q: %w", store.ShownURL(s), err))
			continue
		}
		list = append(list, baseOf(u))
	}
	if len(list)+len(faults) == 0 {
		return nil, fmt.Errorf("MESSAGING_CONSUMER_DETAIL_URLS is not set: give the base URLs that details may be fetched from, such as https://cas.example.com")
	}
	return list, errors.Join(faults...)
}

func baseOf(u *url.URL) base {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return base{u.Scheme, strings.ToLower(u.Hostname()), port, strings.TrimRight(u.Path, "/")}
}

// check parses a detail's URL and compares scheme, host, port and, at the edges of its
// segments, the path with those allowed. A query may follow: it cannot lead out of the
// path.
func (a allowed) check(s string) (*url.URL, error) {
	u, err := parse(s)
	if err != nil {
		return nil, err
	}
	have := baseOf(u)
	for _, b := range a {
		if b.scheme == have.scheme && b.host == have.host && b.port == have.port &&
			(have.path == b.path || strings.HasPrefix(have.path, b.path+"/")) {
			return u, nil
		}
	}
	return nil, fmt.Errorf("it is under none of the allowed base URLs (MESSAGING_CONSUMER_DETAIL_URLS)")
}

// parse takes only URLs that every server between here and the API reads alike: no
// user, no fragment, and a path that is clean already. What would have to be cleaned
// is refused, whoever may have meant well by it.
func parse(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("its scheme is neither http nor https")
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("it has no host")
	case u.User != nil:
		return nil, fmt.Errorf("it holds a user")
	case strings.Contains(s, "#"):
		return nil, fmt.Errorf("it has a fragment")
	}
	for _, p := range []string{u.EscapedPath(), u.Path} {
		if !plain(p) {
			return nil, fmt.Errorf("its path is not plain (.., //, or an encoded dot, slash or backslash)")
		}
	}
	return u, nil
}

// plain says whether a path has nothing in it that some server might resolve.
func plain(p string) bool {
	if p == "" || p == "/" {
		return true
	}
	if path.Clean(p) != strings.TrimSuffix(p, "/") || strings.Contains(p, `\`) {
		return false
	}
	low := strings.ToLower(p)
	for _, code := range []string{"%2e", "%2f", "%5c", "%00"} {
		if strings.Contains(low, code) {
			return false
		}
	}
	// Some servers cut parameters off a segment before they resolve it: "..;x".
	return !slices.ContainsFunc(strings.Split(p, "/"), func(segment string) bool {
		name, _, _ := strings.Cut(segment, ";")
		return name == "." || name == ".."
	})
}
