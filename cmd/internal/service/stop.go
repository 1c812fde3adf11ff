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

// Signals gives a context that ends at SIGINT, SIGTERM or SIGHUP, which comes when the
// terminal is closed, unless whoever started the program lets it outlive that (nohup). A
// second SIGINT or SIGTERM exits at once; a second SIGHUP does not, as the kernel and the
// shell send one each. Whoever reads our output may go away: the write then fails, and
// no signal ends the program. The function that comes with it ends the watch.
func Signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stops, hangUps, brokenPipes := make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangUps, syscall.SIGHUP)
	}
	signal.Notify(brokenPipes, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		select {
		case <-stops:
			cancel()
		case <-hangUps:
			cancel()
		case <-done:
			return
		}
		select {
		case <-stops:
			os.Exit(ExitInterrupted)
		case <-done:
		}
	}()
	return ctx, func() {
		for _, signals := range []chan os.Signal{stops, hangUps, brokenPipes} {
			signal.Stop(signals)
		}
		close(done)
		cancel()
	}
}
