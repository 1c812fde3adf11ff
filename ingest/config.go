package ingest

import (
	"errors"
	"fmt"
	"time"
)

// Config is how the service works. Start from [DefaultConfig].
type Config struct {
	Pollers      int           // receives under way at once
	InHand       int           // messages in hand at most; the log takes hundreds at once best
	Fetches      int           // details being fetched at once
	Visibility   time.Duration // of messages in hand, extended again and again
	Pauses       Pauses        // between deliveries, between probes, and in hand
	BreakerLimit int           // failures in a row that open the circuit breaker
	Linger       time.Duration // for how long a deletion waits for others to make up a batch
	Canary       time.Duration // between two canaries; 0: none are sent
	Stall        time.Duration // for how long nothing of what is in hand may be stored before the service is not ready
	Stop         time.Duration // for the whole stop: half to finish what is in hand, half to give back the rest
}

// DefaultConfig is what production runs with.
func DefaultConfig() Config {
	return Config{
		Pollers:      4,
		InHand:       512,
		Fetches:      64,
		Visibility:   120 * time.Second,
		Pauses:       Pauses{First: time.Second, Most: 15 * time.Minute},
		BreakerLimit: 5,
		Linger:       5 * time.Millisecond,
		Stall:        15 * time.Second,
		Stop:         7 * time.Second,
	}
}

// Validate names every field that makes no sense.
func (c Config) Validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		value int
	}{{"Pollers", c.Pollers}, {"InHand", c.InHand}, {"Fetches", c.Fetches}, {"BreakerLimit", c.BreakerLimit}} {
		if f.value < 1 {
			faults = append(faults, fmt.Errorf("ingest config: %s is %d, want at least 1", f.name, f.value))
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Visibility", c.Visibility}, {"Pauses.First", c.Pauses.First}, {"Linger", c.Linger}, {"Stall", c.Stall}, {"Stop", c.Stop}} {
		if f.value <= 0 {
			faults = append(faults, fmt.Errorf("ingest config: %s is %s, want more than 0", f.name, f.value))
		}
	}
	if c.Pauses.Most < c.Pauses.First {
		faults = append(faults, fmt.Errorf("ingest config: Pauses.Most is %s, less than Pauses.First, %s", c.Pauses.Most, c.Pauses.First))
	}
	if c.Canary < 0 {
		faults = append(faults, fmt.Errorf("ingest config: Canary is %s, want 0 or more", c.Canary))
	}
	return errors.Join(faults...)
}
