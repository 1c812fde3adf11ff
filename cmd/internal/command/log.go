package command

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"casdelius/store/jetstream"
)

const (
	firstPause  = time.Second
	longestWait = 30 * time.Second

	// settingsPause is the time between two looks at the settings of NATS.
	settingsPause = 5 * time.Minute
)

// AwaitLog connects to the log for a service, makes its streams and looks at their
// settings, for as long as it takes NATS to be there; from then on the settings are
// watched. Whatever else is wrong is final, as no waiting heals it: settings that lose
// events above all. No log and no error: ctx ended first.
func AwaitLog(ctx context.Context, config jetstream.Config, logger *slog.Logger) (*jetstream.Log, error) {
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		log, err := jetstream.Connect(ctx, config, logger)
		if err == nil {
			if err = log.Ensure(ctx); err == nil {
				log.Watch(settingsPause)
				return log, nil
			}
			_ = log.Close() // nothing was published
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		var weak *jetstream.SettingsError
		if errors.As(err, &weak) || !errors.Is(err, jetstream.ErrUnavailable) {
			return nil, err
		}
		logger.WarnContext(ctx, "NATS cannot be used yet", "retry", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, nil
		}
	}
}
