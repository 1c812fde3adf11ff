package console

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// eventStream is what the script asks for to have a page's live part renewed.
const eventStream = "text/event-stream"

// stream sends the live part of a page, and again whenever it has changed, for some minutes:
// the browser then asks again, with the sign-in that it has by then.
func (c *Console) stream(w http.ResponseWriter, r *http.Request, u *User, look func() (*page, error)) {
	w.Header().Set("Content-Type", eventStream)
	answer := http.NewResponseController(w)
	tick, end := time.NewTicker(c.config.Every), time.NewTimer(c.config.Stream)
	defer tick.Stop()
	defer end.Stop()
	var last []byte
	for {
		p, err := look()
		if err != nil || p.restricted && !u.May(Restricted) {
			return // the browser asks again, and the page says why not
		}
		part, err := c.render("live", r, u, p)
		if err != nil {
			return
		}
		if err := answer.SetWriteDeadline(time.Now().Add(10 * c.config.Every)); err != nil {
			return
		}
		if !bytes.Equal(part, last) {
			last = part
			_, err = fmt.Fprintf(w, "data: %s\n\n", bytes.ReplaceAll(part, []byte("\n"), []byte("\ndata: "))) //nolint:gosec // html/template has escaped it
		} else {
			_, err = fmt.Fprint(w, ": nothing has changed\n\n")
		}
		if err == nil {
			err = answer.Flush()
		}
		if err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}
