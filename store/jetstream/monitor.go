package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// checkSync asks every monitoring port that is configured whether its server syncs
// each write to the disk before it acknowledges.
func (l *Log) checkSync(ctx context.Context) error {
	if l.cfg.MonitorURL == "" {
		l.logger.Warn("it is not known whether NATS syncs to disk before it acknowledges: set sync_interval to always on every server, and give the monitoring URL to have it checked")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	var problems []error
	for _, base := range split(l.cfg.MonitorURL) {
		problems = append(problems, checkSyncOf(ctx, client, base))
	}
	return errors.Join(problems...)
}

// checkSyncOf reads /jsz, whose config has sync_always only where sync_interval is
// "always", and sync_interval otherwise.
func checkSyncOf(ctx context.Context, client *http.Client, base string) error {
	endpoint, err := url.JoinPath(base, "jsz")
	if err != nil {
		return fmt.Errorf("monitoring URL: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return fmt.Errorf("monitoring URL: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: read the settings of the NATS server: %w", ErrUnavailable, err)
	}
	defer response.Body.Close()
	var answer struct {
		Disabled bool
		Config   struct {
			SyncAlways   bool          `json:"sync_always"`
			SyncInterval time.Duration `json:"sync_interval"`
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: read the settings of the NATS server: %s answers %s, which is no monitoring port's answer", ErrUnavailable, request.URL.Redacted(), response.Status)
	}
	of := "the NATS server at " + request.URL.Host
	switch {
	case answer.Disabled:
		return &SettingsError{of, []Difference{{"jetstream", "disabled", "enabled"}}}
	case !answer.Config.SyncAlways:
		return &SettingsError{of, []Difference{{"sync_interval", answer.Config.SyncInterval.String(), "always"}}}
	}
	return nil
}
