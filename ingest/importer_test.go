package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/store"
)

func (p *parts) importer() *ingest.Importer {
	return &ingest.Importer{
		Intake:   ingest.NewIntake(p.client, p.log, quiet(), ingest.NewMetrics(prometheus.NewRegistry())),
		InFlight: 16,
		Tries:    3,
		Pauses:   ingest.Pauses{First: time.Millisecond, Most: time.Millisecond},
	}
}

// importAll imports lines and gives what became of each, by its number.
func importAll(t *testing.T, im *ingest.Importer, lines ...string) map[int]ingest.Imported {
	t.Helper()
	results := map[int]ingest.Imported{}
	require.NoError(t, im.Import(t.Context(), strings.NewReader(strings.Join(lines, "\n")), func(line ingest.Imported) {
		results[line.Line] = line
	}))
	return results
}

func TestAnImportTakesEveryFormOfLineAndReportsTheBadOnes(t *testing.T) {
	t.Parallel()
	p := setup(t)
	enveloped, wrapped, flaky, missing := p.event(), p.event(), p.event(), p.event()
	p.api.Fail(flaky.url, casapitest.Fault{Status: 503, Times: 2})
	p.api.Fail(missing.url, casapitest.Fault{Status: 404})
	const along = `{ "id" : "with detail","timestamp":"2024-05-01T10:00:00Z", "eventDetails":{"bookingId":"` + booking + `","personReference":{"crn":"X123456"}}}`
	lines := []string{
		enveloped.message,
		"",
		`{"notification":` + wrapped.message + `}`,
		"  " + flaky.message + "\r",
		`{"notification":{"eventType":"accommodation.cas3.person.departed","version":1},"detail":` + along + `}`,
		missing.message,
		`nonsense`,
		`{"notification":{"eventType":"accommodation.cas3.person.departed","version":1}}`,
		`{"notification":{"eventType":"accommodation.cas3.person.departed","version":1},"detail":null}`,
	}
	results := importAll(t, p.importer(), lines...)
	require.Len(t, results, 8)
	for _, good := range []int{1, 3, 4, 5} {
		require.NoError(t, results[good].Err)
		require.False(t, results[good].Ack.Duplicate)
	}
	require.ErrorContains(t, results[6].Err, "404")
	require.ErrorContains(t, results[7].Err, "malformed")
	require.ErrorContains(t, results[8].Err, "no-detail-url")
	require.ErrorContains(t, results[9].Err, "detail-invalid")

	stored := p.stored(t)
	require.Len(t, stored, 4)
	require.Equal(t, []byte(along), stored["with detail"].Body) //nolint:testifylint // byte for byte, not only as JSON
	require.Empty(t, stored["with detail"].Source)
	require.Equal(t, store.PersonDeparted, stored["with detail"].Type)
	require.Empty(t, p.rejected(t))

	again := importAll(t, p.importer(), lines...)
	for _, good := range []int{1, 3, 4, 5} {
		require.True(t, again[good].Ack.Duplicate)
	}
	require.Len(t, p.stored(t), 4)
}

func TestAnImportFetchesNoMoreDetailsAtOnceThanItMay(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var lines []string
	for range 40 {
		lines = append(lines, p.event().message)
	}
	busy := &counted{Details: p.client}
	im := p.importer()
	im.Intake = ingest.NewIntake(busy, p.log, quiet(), ingest.NewMetrics(prometheus.NewRegistry()))
	im.Fetches = 3
	for _, line := range importAll(t, im, lines...) {
		require.NoError(t, line.Err)
	}
	require.LessOrEqual(t, busy.most, 3)
}

// counted counts the fetches under way.
type counted struct {
	ingest.Details
	mu        sync.Mutex
	now, most int
}

func (c *counted) Fetch(ctx context.Context, url string) ([]byte, error) {
	c.add(1)
	defer c.add(-1)
	return c.Details.Fetch(ctx, url)
}

func (c *counted) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
}

func TestAnImportEndsWithItsContextOrItsReader(t *testing.T) {
	t.Parallel()
	p := setup(t)
	broken := errors.New("disk gone")
	var stored int
	err := p.importer().Import(t.Context(), io.MultiReader(strings.NewReader(p.event().message+"\n"), failingReader{broken}), func(line ingest.Imported) {
		require.NoError(t, line.Err)
		stored++
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, 1, stored)

	ctx, cancel := context.WithCancel(t.Context())
	endless, feed := io.Pipe()
	go func() {
		for range 1000 {
			fmt.Fprintln(feed, p.event().message)
		}
		_ = feed.Close()
	}()
	t.Cleanup(func() { _ = endless.Close() })
	err = p.importer().Import(ctx, endless, func(ingest.Imported) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestAnImportThatIsInterruptedInItsLastLinesSaysSo(t *testing.T) {
	t.Parallel()
	p := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	im := p.importer()
	im.Intake = ingest.NewIntake(interrupted(cancel), p.log, quiet(), ingest.NewMetrics(prometheus.NewRegistry()))
	err := im.Import(ctx, strings.NewReader(p.event().message), func(ingest.Imported) {})
	require.ErrorIs(t, err, context.Canceled)
}

// interrupted are details whose fetch someone interrupts.
type interrupted context.CancelFunc

func (cancel interrupted) Fetch(ctx context.Context, _ string) ([]byte, error) {
	cancel()
	return nil, ctx.Err()
}
