// Command projector makes what stands in Delius what the events of the log say. As a
// service it follows the log; its other commands set up the database.
package main

import (
	"context"
	"os"
	"runtime/debug"
)

func main() {
	// Little is alive at any moment and much is thrown away: with the standard setting the
	// collector would run dozens of times a second to save some megabytes.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
