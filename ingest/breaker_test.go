package ingest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

var (
	noon        = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	testPauses  = Pauses{First: time.Second, Most: 15 * time.Minute}
	breakerSize = 3
)

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for n := range 13 {
		got = append(got, testPauses.at(n))
	}
	s := time.Second
	require.Equal(t, []time.Duration{s, s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 512 * s, 900 * s, 900 * s}, got)
}

func TestOneDetailThatKeepsFailingOpensNothing(t *testing.T) {
	t.Parallel()
	b := newBreaker(breakerSize, testPauses)
	for range 100 {
		require.False(t, b.fail(noon, api, "one"))
	}
	require.False(t, b.fail(noon, api, "two"))
	require.False(t, b.answer(noon, api), "it was not open")
	require.False(t, b.fail(noon, api, "three"))
	require.False(t, b.fail(noon, api, "four"))
	require.True(t, b.fail(noon, api, "five"))
	require.Equal(t, []string{"api"}, b.why())
}

func TestEveryFailureOfTokenEndpointOrLogCounts(t *testing.T) {
	t.Parallel()
	for _, d := range []dependency{token, sink} {
		b := newBreaker(breakerSize, testPauses)
		require.False(t, b.fail(noon, d, ""))
		require.False(t, b.fail(noon, d, ""))
		b.answer(noon, api)
		require.True(t, b.fail(noon, d, ""), "another part's answer says nothing about %s", d)
	}
}

func TestTheBreakerClosesWhenEveryPartAnswers(t *testing.T) {
	t.Parallel()
	b := newBreaker(breakerSize, testPauses)
	for i := range breakerSize {
		b.fail(noon, api, fmt.Sprint(i))
		b.fail(noon, sink, "")
	}
	require.Equal(t, []string{"api", "log"}, b.why())
	require.False(t, b.answer(noon, api))
	require.True(t, b.open)
	require.True(t, b.answer(noon, sink))
	require.False(t, b.open)
	require.Empty(t, b.why())
}

func TestADetailAtItsLastDeliveryOpensTheBreakerUnlessTheAPIAnsweredMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBreaker(breakerSize, testPauses)
	first, now := noon, noon.Add(time.Hour)
	require.False(t, b.fail(now, api, "one"))
	require.True(t, b.lastDeliveryFailed(now, first), "it never answered")
	require.Equal(t, []string{"api"}, b.why())
	require.False(t, b.fail(now, api, "two"))
	require.False(t, b.lastDeliveryFailed(now, first), "it is open already")
	require.Equal(t, []string{"api"}, b.why())

	require.True(t, b.answer(now, api))
	require.False(t, b.fail(now, api, "one"))
	require.False(t, b.lastDeliveryFailed(now, first))
	require.True(t, b.lastDeliveryFailed(now, now), "it has answered nothing since")
}

func TestProbesGoOneAtATimeInGrowingPauses(t *testing.T) {
	t.Parallel()
	b := newBreaker(1, testPauses)
	require.False(t, b.probe(noon), "it is closed")
	b.fail(noon, sink, "")
	now := noon
	for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		require.False(t, b.probe(now.Add(pause-1)))
		now = now.Add(pause)
		require.True(t, b.probe(now))
		require.False(t, b.probe(now), "one is under way")
		b.fail(now, sink, "")
		b.probed(now, true)
	}
	now = now.Add(8 * time.Second)
	require.True(t, b.probe(now))
	b.probed(now, false)
	require.True(t, b.probe(now), "a probe that asked nobody says nothing")
	require.True(t, b.answer(noon, sink))
	b.probed(now, false)
	require.False(t, b.probe(now))

	b.fail(now, sink, "")
	require.True(t, b.probe(now.Add(time.Second)), "the pauses begin anew")
}

// refusal is the log's for a message's size.
type refusal struct{ error }

func (refusal) TooLarge() bool { return true }

func TestEachFailureHasItsVerdict(t *testing.T) {
	t.Parallel()
	failed := func(f DetailFault) error { return &DetailError{Fault: f, Err: errors.New("why")} }
	retry := func(d time.Duration) verdict { return verdict{outcome: retried, pause: d} }
	rejection := func(r store.Reason) verdict { return verdict{outcome: rejected, reason: r, problem: "why"} }
	for name, c := range map[string]struct {
		err             error
		receives, limit int
		open            bool
		want            verdict
	}{
		"rejected by form":              {reject(store.NoPerson, "why"), 1, 10, false, rejection(store.NoPerson)},
		"not found":                     {failed(DetailNotFound), 1, 10, false, retry(time.Second)},
		"not found for the sixth time":  {failed(DetailNotFound), 6, 10, false, retry(32 * time.Second)},
		"not found, breaker open":       {failed(DetailNotFound), 2, 10, true, retry(2 * time.Second)},
		"not found for the last time":   {failed(DetailNotFound), 10, 10, false, rejection(store.DetailNotFound)},
		"beyond the last time":          {failed(DetailNotFound), 12, 10, false, rejection(store.DetailNotFound)},
		"not found, impatient queue":    {failed(DetailNotFound), 1, 3, false, retry(time.Second)},
		"again, impatient queue":        {failed(DetailNotFound), 2, 3, false, retry(256 * time.Second)},
		"patient queue":                 {failed(DetailNotFound), 20, 50, false, retry(15 * time.Minute)},
		"queue that does not count":     {failed(DetailNotFound), 0, 10, false, retry(time.Second)},
		"refused":                       {failed(DetailRefused), 3, 10, false, retry(4 * time.Second)},
		"refused for the last time":     {failed(DetailRefused), 10, 10, false, rejection(store.DetailRefused)},
		"unavailable":                   {failed(DetailUnavailable), 1, 10, false, retry(time.Second)},
		"unavailable to the end":        {failed(DetailUnavailable), 10, 10, false, rejection(store.DetailRefused)},
		"unavailable in an outage":      {failed(DetailUnavailable), 10, 10, true, verdict{outcome: held}},
		"garbled":                       {failed(DetailGarbled), 1, 10, false, retry(time.Second)},
		"garbled to the end":            {failed(DetailGarbled), 10, 10, false, rejection(store.DetailInvalid)},
		"garbled in an outage":          {failed(DetailGarbled), 10, 10, true, verdict{outcome: held}},
		"no token":                      {failed(TokenUnavailable), 10, 10, false, verdict{outcome: held}},
		"too large":                     {failed(DetailTooLarge), 1, 10, false, rejection(store.DetailTooLarge)},
		"too large for the log":         {fmt.Errorf("append: %w", refusal{errors.New("why")}), 1, 10, true, verdict{outcome: rejected, reason: store.DetailTooLarge, problem: "append: why"}},
		"forbidden":                     {failed(URLForbidden), 1, 10, false, rejection(store.ForbiddenURL)},
		"the log fails":                 {errors.New("no acknowledgement"), 10, 10, false, verdict{outcome: held}},
		"the log fails, wrapped reason": {fmt.Errorf("append: %w", ErrUnavailable), 1, 10, true, verdict{outcome: held}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, decide(c.err, circumstances{c.receives, c.limit, c.open, testPauses}))
		})
	}
}

func TestAConfigThatMakesNoSenseIsNamed(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for want, spoil := range map[string]func(*Config){
		"Pollers is 0":        func(c *Config) { c.Pollers = 0 },
		"InHand is -1":        func(c *Config) { c.InHand = -1 },
		"Fetches is 0":        func(c *Config) { c.Fetches = 0 },
		"BreakerLimit is 0":   func(c *Config) { c.BreakerLimit = 0 },
		"Visibility is 0s":    func(c *Config) { c.Visibility = 0 },
		"Linger is -1s":       func(c *Config) { c.Linger = -time.Second },
		"Stop is 0s":          func(c *Config) { c.Stop = 0 },
		"Pauses.First is 0s":  func(c *Config) { c.Pauses.First = 0 },
		"Pauses.Most is 10ms": func(c *Config) { c.Pauses.Most = 10 * time.Millisecond },
	} {
		cfg := DefaultConfig()
		spoil(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
	cfg := DefaultConfig()
	cfg.Pollers, cfg.Stop = 0, 0
	require.ErrorContains(t, cfg.Validate(), "Pollers")
	require.ErrorContains(t, cfg.Validate(), "Stop", "all faults are named at once")
}
