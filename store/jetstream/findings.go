package jetstream

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// findings are what is not as it has to be.
type findings struct {
	refusals []error // a SettingsError for each thing with settings that lose events
	failures []error // of what could not be read
	doubts   []string
}

func (f *findings) refuse(of string, differences ...Difference) {
	if len(differences) > 0 {
		f.refusals = append(f.refusals, &SettingsError{of, differences})
	}
}

// fail takes an error, a [SettingsError] as what it is, and none twice.
func (f *findings) fail(err error) {
	list, weak := &f.failures, (*SettingsError)(nil)
	if errors.As(err, &weak) {
		list = &f.refusals
	}
	if !slices.ContainsFunc(*list, func(e error) bool { return e.Error() == err.Error() }) {
		*list = append(*list, err)
	}
}

func (f *findings) doubt(text string) { f.doubts = append(f.doubts, text) }

// err is what nothing may be stored with.
func (f *findings) err() error { return errors.Join(slices.Concat(f.refusals, f.failures)...) }

// warn logs what may be lived with.
func (f *findings) warn(ctx context.Context, logger *slog.Logger) {
	if len(f.doubts) > 0 {
		logger.WarnContext(ctx, "NATS is not set up as it should be: "+strings.Join(f.doubts, "; "))
	}
}

// Watch reads again every so often, until Close, what can be changed while we run: the
// settings of the streams and of the servers. What is new is logged, and
// [Log.Settings] gives what would lose events.
func (l *Log) Watch(every time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	l.unwatch = cancel
	l.watching.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.recheck(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
}

// recheck reads the settings and logs what is new. An outage is no news: whatever
// uses the log says so.
func (l *Log) recheck(ctx context.Context) {
	found := l.inspect(ctx, l.existingStream)
	if len(found.failures) > 0 && len(found.refusals) == 0 {
		return
	}
	before := l.found.Swap(found)
	if before == nil {
		before = &findings{}
	}
	weak := errors.Join(found.refusals...)
	if was := errors.Join(before.refusals...); weak != nil && (was == nil || was.Error() != weak.Error()) {
		l.logger.ErrorContext(ctx, "the settings of NATS were changed: events may be lost", "error", weak)
	}
	if !slices.Equal(found.doubts, before.doubts) {
		found.warn(ctx, l.logger)
	}
}

// Settings is what the last look of [Log.Watch] found that would lose events; nil if
// nothing.
func (l *Log) Settings(context.Context) error {
	found := l.found.Load()
	if found == nil {
		return nil
	}
	return errors.Join(found.refusals...)
}
