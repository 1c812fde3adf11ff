//go:build torture

package cmd_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// usage is what the programs take that nobody ends, by what it is.
type usage map[string]float64

// Of all that is taken there may be a tenth more in the end, and a few; of memory a quarter and some
// MiB, which Go gives back late. An event may take half as much more disk.
func (u usage) limit(of string) float64 {
	switch {
	case strings.HasPrefix(of, "MiB"):
		return 1.25*u[of] + 16
	case strings.HasPrefix(of, "bytes"):
		return 1.5 * u[of]
	}
	return 1.1*u[of] + 5
}

// take is what is taken now, and of the disk for each event since the last time.
func (s *soak) take(tb testing.TB) usage {
	tb.Helper()
	u := usage{}
	for role, p := range s.steady {
		u["goroutines of "+role] = p.metric(s.t, "go_goroutines")
		u["open files of "+role] = p.metric(s.t, "process_open_fds")
		u["MiB of memory of "+role] = p.metric(s.t, "process_resident_memory_bytes") / (1 << 20)
	}
	var connections, size float64
	require.NoError(tb, s.delius.Pool.QueryRow(ctx, `select count(*), pg_database_size(current_database()) from pg_stat_activity
		where datname = current_database() and application_name = 'casdelius projector'`).Scan(&connections, &size))
	u["connections to PostgreSQL"] = connections
	u["connections to NATS"] = s.connectionsToNATS(tb)
	info, err := s.log.Info(ctx)
	require.NoError(tb, err)
	disk, events := size+float64(info.Bytes), float64(info.LastSequence)
	u["bytes of disk for an event"] = (disk - s.disk) / max(1, events-s.events)
	s.disk, s.events = disk, events
	return u
}

func (s *soak) connectionsToNATS(tb testing.TB) float64 {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(s.nats.MonitorURL() + "/varz")
	require.NoError(tb, err)
	defer answer.Body.Close()
	var told struct{ Connections float64 }
	require.NoError(tb, json.NewDecoder(answer.Body).Decode(&told))
	return told.Connections
}

// requireFlat holds that no more is taken than early on, once what is kept open for a while is
// closed.
func (s *soak) requireFlat(tb testing.TB, early usage, within time.Duration) {
	tb.Helper()
	now := s.take(tb)
	disk := now["bytes of disk for an event"]
	excess := func() (all []string) {
		for _, what := range slices.Sorted(maps.Keys(early)) {
			if now[what] > early.limit(what) {
				all = append(all, fmt.Sprintf("more %s: %.0f early on, %.0f in the end", what, early[what], now[what]))
			}
		}
		return all
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for deadline := time.Now().Add(within); len(excess()) > 0 && time.Now().Before(deadline); <-tick.C {
		now = s.take(tb)
		now["bytes of disk for an event"] = disk
	}
	for _, what := range slices.Sorted(maps.Keys(early)) {
		tb.Logf("%s: %.0f early on, %.0f in the end", what, early[what], now[what])
	}
	require.Empty(tb, excess())
}

// leak opens connections that nobody closes before the test ends.
func (s *soak) leak() {
	s.t.Helper()
	for range 40 {
		conn, err := pgx.Connect(ctx, s.database+"&application_name=casdelius%20projector")
		require.NoError(s.t, err)
		s.t.Cleanup(func() { require.NoError(s.t, conn.Close(ctx)) })
	}
}
