package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// inspectDisks asks every monitoring port that is configured whether its server syncs
// each write to the disk before it acknowledges. A server that does not answer is let
// pass where another does: a cluster is there so that one may be missing. Where none
// answers nothing is known, and nothing may be stored.
func (l *Log) inspectDisks(ctx context.Context, found *findings) {
	if l.cfg.MonitorURL == "" {
		found.doubt("it is not known whether the servers wait for the disk before they acknowledge: set sync_interval to always on each, and NATS_MONITOR_URL to have it looked at")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	bases := split(l.cfg.MonitorURL)
	answers := make([]*settings, len(bases))
	errs := make([]error, len(bases))
	var group sync.WaitGroup
	for i, base := range bases {
		group.Go(func() { answers[i], errs[i] = readSettings(ctx, base) })
	}
	group.Wait()
	silent := errors.Join(errs...)
	if !slices.ContainsFunc(answers, func(s *settings) bool { return s != nil }) {
		found.fail(fmt.Errorf("%w: no server of NATS_MONITOR_URL says how it stores: %w", ErrUnavailable, silent))
		return
	}
	if silent != nil {
		found.doubt("not every server of NATS_MONITOR_URL says how it stores: " + strings.ReplaceAll(silent.Error(), "\n", "; "))
	}
	for i, s := range answers {
		if s != nil {
			found.refuse("the NATS server at "+hostOf(bases[i]), s.shortfalls()...)
		}
	}
}

// settings are those of a server that its monitoring port tells.
type settings struct {
	Disabled bool
	Config   struct {
		SyncAlways   bool          `json:"sync_always"`
		SyncInterval time.Duration `json:"sync_interval"`
	}
}

func (s *settings) shortfalls() []Difference {
	switch {
	case s.Disabled:
		return []Difference{{Setting: "jetstream", Have: "disabled", Want: "enabled"}}
	case !s.Config.SyncAlways:
		return []Difference{{
			Setting: "sync_interval", Have: s.Config.SyncInterval.String(), Want: "always",
			Do: "in block jetstream of the server's configuration",
		}}
	}
	return nil
}

// readSettings reads /jsz, whose config has sync_always only where sync_interval is
// "always", and sync_interval otherwise.
func readSettings(ctx context.Context, base string) (*settings, error) {
	endpoint, err := url.JoinPath(base, "jsz")
	if err != nil {
		return nil, fmt.Errorf("NATS_MONITOR_URL: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("NATS_MONITOR_URL: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if cause, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("%s: %w", withoutUser(request.URL), cause.Err) // its own text has the user
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer settings
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s, which is no monitoring port's answer", withoutUser(request.URL), response.Status)
	}
	return &answer, nil
}

func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "NATS_MONITOR_URL"
	}
	return u.Host
}
