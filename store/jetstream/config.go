package jetstream

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config says where the log is and what is asked of it. The zero value of every field
// but URL means its default.
type Config struct {
	URL        string // NATS servers, comma-separated: nats://host:4222
	Creds      string // credentials file; "": none
	CA         string // PEM file of the certificate authorities to trust; "": the system's
	MonitorURL string // the servers' monitoring ports, comma-separated: http://host:8222; "": not looked at
	Name       string // what the connection is called on the server

	Replicas         int   // of both streams, 1, 3 or 5; default 3
	MaxBytes         int64 // the size at which CAS_EVENTS is full; default 1 GiB
	RejectedMaxBytes int64 // the size at which CAS_REJECTED is full; default 256 MiB

	Timeout time.Duration // longest wait for one answer of NATS; default 10 s
	AckWait time.Duration // a follower's event goes to another after this long without a sign of life; default 60 s
	Batch   int           // events that a follower asks for at once; it is at most two batches ahead; default 500
	Linger  time.Duration // how long a follower's request waits for events, and so [Follower.Close]; default 1 s
}

// withDefaults fills in what is left out.
func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "casdelius")
	c.Replicas = cmp.Or(c.Replicas, 3)
	c.MaxBytes = cmp.Or(c.MaxBytes, 1<<30)
	c.RejectedMaxBytes = cmp.Or(c.RejectedMaxBytes, 256<<20)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.AckWait = cmp.Or(c.AckWait, 60*time.Second)
	c.Batch = cmp.Or(c.Batch, 500)
	c.Linger = cmp.Or(c.Linger, time.Second)
	return c
}

// Validate names the first field that cannot be used, with its value.
func (c Config) Validate() error {
	if err := validURLs("URL", c.URL, "nats", "tls", "ws", "wss"); err != nil {
		return err
	}
	if c.MonitorURL != "" {
		if err := validURLs("MonitorURL", c.MonitorURL, "http", "https"); err != nil {
			return err
		}
	}
	c = c.withDefaults()
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		return fmt.Errorf("Replicas is %d: want 1, 3 or 5", c.Replicas)
	}
	for _, f := range []struct {
		name  string
		value int64
		least int64
	}{
		{"MaxBytes", c.MaxBytes, 1},
		{"RejectedMaxBytes", c.RejectedMaxBytes, 1},
		{"Batch", int64(c.Batch), 1},
	} {
		if f.value < f.least {
			return fmt.Errorf("%s is %d: want at least %d", f.name, f.value, f.least)
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"Timeout", c.Timeout},
		{"AckWait", c.AckWait},
		{"Linger", c.Linger},
	} {
		if f.value < time.Millisecond {
			return fmt.Errorf("%s is %v: want at least 1ms", f.name, f.value)
		}
	}
	if c.Batch > maxAckPending/2 {
		return fmt.Errorf("Batch is %d: want at most %d", c.Batch, maxAckPending/2)
	}
	return nil
}

// validURLs checks a comma-separated list of URLs. A password in one is not repeated.
func validURLs(field, list string, schemes ...string) error {
	for _, text := range split(list) {
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("%s is not a list of URLs: want %s://host:port", field, schemes[0])
		}
		known := false
		for _, s := range schemes {
			known = known || u.Scheme == s
		}
		if !known || u.Hostname() == "" {
			return fmt.Errorf("%s holds %q: want %s://host:port", field, u.Redacted(), schemes[0])
		}
	}
	return nil
}

// split takes a comma-separated list apart; an empty list has one empty part.
func split(list string) []string {
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
