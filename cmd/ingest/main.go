// Command ingest moves CAS domain events from SQS into the log: each notification with
// its detail becomes one event of a JetStream stream, and only then is the message
// deleted. Without a command it runs as a service; the other commands bring older
// events in and look after messages that were rejected.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }
