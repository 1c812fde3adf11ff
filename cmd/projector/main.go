// Command projector makes Delius what the CAS events of the stream say. As a service it
// follows the stream; its other commands set up the database, plan, rebuild and verify,
// and show what happened to a person.
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
