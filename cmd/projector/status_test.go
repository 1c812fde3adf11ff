package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/verify"
)

// Broken variants: an answer from figures that are an hour old; an exit code of 0 where Delius is
// behind; a verification that is said to be of everything that came since.
func TestStatusSaysWhetherDeliusIsUpToDate(t *testing.T) {
	t.Parallel()
	for name, is := range map[string]struct {
		figures *inspect.Figures
		code    int
		says    string
	}{
		"up to date":         {&inspect.Figures{}, 0, "Up to date: Every event that can be is in Delius."},
		"nearly":             {&inspect.Figures{Behind: 2.5, Sequence: 7}, 0, "Up to date: The newest events are being applied; the oldest of them has waited for 2 seconds."},
		"behind":             {&inspect.Figures{Behind: 90, Sequence: 7}, 2, "Behind: An event has waited for 1 minute 30 seconds."},
		"on hold":            {&inspect.Figures{Hold: true}, 2, "On hold: The projector plans, and writes nothing to Delius."},
		"nobody has told":    {nil, 2, "Not known: No projector has told how far it is. Is `projector run` running?"},
		"told an hour ago":   {&inspect.Figures{At: time.Now().Add(-time.Hour)}, 2, "Not known: No projector has told how far it is for 1 hour"},
		"after verification": {&inspect.Figures{Last: 12}, 0, ": nothing is damaged, 1 row edited by people; 3 messages came since"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			if f := is.figures; f != nil {
				if f.At.IsZero() {
					f.At = time.Now()
				}
				f.Parked = map[delius.Cause]inspect.Counted{delius.StaffNotFound: {Count: 2}, delius.BadDetail: {Count: 1}}
				require.NoError(t, w.db.KeepFigures(ctx, *f))
			}
			if name == "after verification" {
				number, err := w.db.Verified.Begin(ctx, verify.Run{Who: "schedule", Began: time.Now()}, time.Now(), time.Now(), time.Minute)
				require.NoError(t, err)
				require.NoError(t, w.db.Verified.End(ctx, number, verify.Verdict{Messages: 9, Edited: 1}, nil, ""))
			}
			code, stdout, stderr := w.tool("status")
			require.Equal(t, is.code, code, stderr)
			require.Contains(t, stdout, is.says)
			if is.figures != nil {
				require.Contains(t, stdout, "3: ")
				require.Contains(t, stdout, "staff-not-found 2")
			}
			code, stdout, stderr = w.tool("status", "--json")
			require.Equal(t, is.code, code, stderr)
			var status inspect.Status
			require.NoError(t, json.Unmarshal([]byte(stdout), &status))
			require.Equal(t, is.code == 0, status.UpToDate)
		})
	}
}
