// Command projector makes what stands in Delius what the events of the log say. As a
// service it follows the log; its other commands set up the database.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }
