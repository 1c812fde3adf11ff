package service

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// What programs exit with.
const (
	ExitOK          = 0
	ExitError       = 1   // wrong usage too
	ExitChanges     = 2   // there are changes to make, or damage was found
	ExitInterrupted = 130 // stopped before the end by a signal
)

// Signals gives a context that ends at SIGINT or SIGTERM. A second signal exits at
// once. The function that comes with it ends the watch.
func Signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
			return
		}
		select {
		case <-signals:
			os.Exit(ExitInterrupted)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
