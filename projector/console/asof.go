package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// asOf is the moment of which the rows are shown. The places of the slider are the events in the
// order in which they were emitted, and at last now.
type asOf struct {
	At            time.Time // zero: now
	Place         int
	Places        []string
	Before, After string // addresses of the places beside it; "" if there is none
}

// Last is the last place.
func (a *asOf) Last() int { return len(a.Places) - 1 }

// readAsOf reads which moment is asked for. The slider gives a place, which another event can
// change: the address that is gone to has the time.
func readAsOf(r *http.Request, moments []delius.Moment) (a asOf, goTo string, err error) {
	for i, m := range moments {
		a.Places = append(a.Places, fmt.Sprintf("event %d, %s: %s", i+1, london(m.Event.Emitted), nameOf(m.Event.Type)))
	}
	a.Places = append(a.Places, "now")
	address := func(place int) string {
		switch {
		case place < 0 || place > len(moments):
			return ""
		case place == len(moments):
			return r.URL.Path + "#rows"
		}
		return r.URL.Path + "?as-of=" + url.QueryEscape(moments[place].Event.Emitted.Format(time.RFC3339Nano)) + "#rows"
	}
	q := r.URL.Query()
	if text := q.Get("place"); text != "" {
		place, err := strconv.Atoi(text)
		if goTo = address(place); err != nil || goTo == "" {
			return a, "", badRequest("%q is not the place of one of %s.", text, inspect.Count(len(moments), "event"))
		}
		return a, goTo, nil
	}
	a.Place = len(moments)
	if text := q.Get("as-of"); text != "" {
		if a.At, err = store.ParseTime(text); err != nil {
			return a, "", badRequest("%q is no time: want one such as 2026-03-01T12:00:00Z.", text)
		}
		a.Place = -1
		for _, m := range moments {
			if !m.Event.Emitted.After(a.At) {
				a.Place++
			}
		}
	}
	a.Before, a.After = address(a.Place-1), address(a.Place+1)
	a.Place = max(a.Place, 0)
	return a, "", nil
}
