package console

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
)

// homePage is how far everything is.
type homePage struct {
	*inspect.Figures
	State      state
	Curve      curve
	Causes     []causeCount
	Rejected   int
	NoStream   bool // it could not be asked for what is rejected
	Verified   *inspect.Verified
	Since      int // messages that came since then
	Rebuilding *inspect.Rebuilding
}

// AllParked is how much is parked for whatever cause.
func (p *homePage) AllParked() (n int) {
	for _, of := range p.Parked {
		n += of.Count
	}
	return n
}

// causeCount is how much is parked for a cause.
type causeCount struct {
	Cause delius.Cause
	inspect.Counted
}

func (c *Console) home(r *http.Request, _ *User) (*page, error) {
	ctx, now := r.Context(), c.config.Now()
	is := &homePage{}
	var err error
	if is.Figures, err = c.ports.Progress.Figures(ctx); err != nil {
		return nil, err
	}
	is.State = state(inspect.AnswerOf(is.Figures, now))
	samples, err := c.ports.Progress.Behind(ctx, now.Add(-time.Hour))
	if err != nil {
		return nil, err
	}
	is.Curve = drawBehind(samples, now)
	runs, err := c.ports.Verifications.Runs(ctx, 1)
	if err != nil {
		return nil, err
	}
	if len(runs) > 0 {
		is.Verified, is.Since = &runs[0], inspect.CameSince(&runs[0], is.Figures)
	}
	if is.Rebuilding, err = c.ports.Progress.Rebuilding(ctx); err != nil {
		return nil, err
	}
	if _, is.Rejected, err = c.ports.Rejections.Newest(ctx, 1); err != nil {
		is.NoStream = true
		c.config.Logger.WarnContext(ctx, "the stream could not be asked for what is rejected", "error", err)
	}
	if is.Figures != nil {
		for _, cause := range inspect.Causes() {
			if n := is.Parked[cause]; n.Count > 0 {
				is.Causes = append(is.Causes, causeCount{cause, n})
			}
		}
	}
	return &page{name: "home", title: "Is Delius up to date?", live: true, data: is}, nil
}

// curve is how far Delius was behind, drawn over an hour. Its points are in a box of 1000 by 100
// that is stretched to the width there is.
type curve struct {
	Points string
	Most   float64 // seconds, at the top
	Worst  float64
	Last   float64
}

func drawBehind(samples []inspect.Sample, now time.Time) (c curve) {
	c.Most = 10
	for _, s := range samples {
		c.Most, c.Worst, c.Last = max(c.Most, s.Behind), max(c.Worst, s.Behind), s.Behind
	}
	var points strings.Builder
	for _, s := range samples {
		x := 1000 - now.Sub(s.At).Seconds()/3600*1000
		fmt.Fprintf(&points, "%.1f,%.1f ", min(max(x, 0), 1000), 98-s.Behind/c.Most*94)
	}
	c.Points = strings.TrimSpace(points.String())
	return c
}
