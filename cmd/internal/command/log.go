package command

import (
	"context"
	"errors"
	"time"

	"casdelius/store/jetstream"
)

// settingsPause is the time between two looks at the settings of NATS.
const settingsPause = 5 * time.Minute

// AwaitLog connects to the log for a service, makes its streams and looks at their
// settings, for as long as it takes NATS to be there; from then on the settings are
// watched. Whatever else is wrong is final, as no waiting heals it: settings that lose
// events above all. No log and no error: ctx ended first.
func AwaitLog(ctx context.Context, config jetstream.Config, await *Await) (log *jetstream.Log, err error) {
	err = await.For(ctx, "NATS", passes, func() error {
		connected, err := jetstream.Connect(ctx, config, await.Logger)
		if err != nil {
			return err
		}
		if err := connected.Ensure(ctx); err != nil {
			_ = connected.Close() // nothing was published
			return err
		}
		log = connected
		log.Watch(settingsPause)
		return nil
	})
	return log, err
}

// passes says of an error of the log whether it passes by itself.
func passes(err error) bool {
	var weak *jetstream.SettingsError
	return !errors.As(err, &weak) && errors.Is(err, jetstream.ErrUnavailable)
}
