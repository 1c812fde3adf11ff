package jetstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Config says where the log is and what is asked of it. The zero value of every field
// but URL means its default. What is set by a variable of the environment is called so
// in errors too: that is where a person can change it.
type Config struct {
	URL        string // NATS_URL: servers, comma-separated: nats://host:4222
	Creds      string // NATS_CREDS: credentials file; "": none
	CA         string // NATS_CA: PEM file of the certificate authorities to trust; "": the system's
	MonitorURL string // NATS_MONITOR_URL: the servers' monitoring ports, comma-separated: http://host:8222; "": not looked at
	Inbox      string // NATS_INBOX_PREFIX: of the subjects that answers come to, where the role has its own; default _INBOX
	Name       string // what the connection is called on the server

	Replicas         int   // STREAM_REPLICAS: of both streams, 1, 3 or 5; default 3
	MaxBytes         int64 // STREAM_MAX_BYTES: the size at which CAS_EVENTS is full; default 1 GiB
	RejectedMaxBytes int64 // the size at which CAS_REJECTED is full; default 256 MiB

	Timeout time.Duration // longest wait for one answer of NATS; default 10 s
	AckWait time.Duration // a follower's event goes to another after this long without a sign of life; default 12 s
	Batch   int           // events that a follower asks for at once; it is at most two batches ahead; default 500
	Linger  time.Duration // how long a follower's request waits for events, and so [Follower.Close]; default 1 s
}

// withDefaults fills in what is left out.
func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "casdelius")
	c.Inbox = cmp.Or(c.Inbox, "_INBOX")
	c.Replicas = cmp.Or(c.Replicas, 3)
	c.MaxBytes = cmp.Or(c.MaxBytes, 1<<30)
	c.RejectedMaxBytes = cmp.Or(c.RejectedMaxBytes, 256<<20)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.AckWait = cmp.Or(c.AckWait, 12*time.Second)
	c.Batch = cmp.Or(c.Batch, 500)
	c.Linger = cmp.Or(c.Linger, time.Second)
	return c
}

// Validate names every field that cannot be used, with its value.
func (c Config) Validate() error {
	problems := []error{validURLs("NATS_URL", c.URL, "nats", "tls", "ws", "wss")}
	if c.MonitorURL != "" {
		problems = append(problems, validURLs("NATS_MONITOR_URL", c.MonitorURL, "http", "https"))
	}
	c = c.withDefaults()
	if strings.ContainsAny(c.Inbox, " \t\r\n*>") || strings.HasPrefix(c.Inbox, ".") || strings.HasSuffix(c.Inbox, ".") || strings.Contains(c.Inbox, "..") {
		problems = append(problems, fmt.Errorf("NATS_INBOX_PREFIX is %q: want the beginning of a subject, such as _INBOX_ingest", c.Inbox))
	}
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		problems = append(problems, fmt.Errorf("STREAM_REPLICAS is %d: want 1, 3 or 5", c.Replicas))
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"STREAM_MAX_BYTES", c.MaxBytes},
		{"RejectedMaxBytes", c.RejectedMaxBytes},
		{"Batch", int64(c.Batch)},
	} {
		if f.value < 1 {
			problems = append(problems, fmt.Errorf("%s is %d: want at least 1", f.name, f.value))
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
			problems = append(problems, fmt.Errorf("%s is %v: want at least 1ms", f.name, f.value))
		}
	}
	if c.Batch > maxAckPending/2 {
		problems = append(problems, fmt.Errorf("Batch is %d: want at most %d", c.Batch, maxAckPending/2))
	}
	return errors.Join(problems...)
}

// validURLs checks a comma-separated list of URLs. A password in one is not repeated.
func validURLs(variable, list string, schemes ...string) error {
	for _, text := range split(list) {
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("%s is not a list of URLs: want %s://host:port", variable, schemes[0])
		}
		if !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
			return fmt.Errorf("%s holds %q: want %s://host:port", variable, withoutUser(u), schemes[0])
		}
	}
	return nil
}

// servers are the servers of NATS_URL for a message, without passwords.
func (c Config) servers() string {
	list := split(c.URL)
	for i, text := range list {
		if u, err := url.Parse(text); err == nil {
			list[i] = withoutUser(u)
		}
	}
	return strings.Join(list, ", ")
}

// withoutUser is a URL for a message. Where there is no password the user is a token.
func withoutUser(u *url.URL) string {
	shown := *u
	shown.User, shown.RawQuery, shown.Fragment = nil, "", ""
	return shown.String()
}

// server is the server that the connection leads to, for a message.
func server(conn *nats.Conn) string {
	u, err := url.Parse(conn.ConnectedUrl())
	if err != nil {
		return "NATS_URL"
	}
	return withoutUser(u)
}

// split takes a comma-separated list apart; an empty list has one empty part.
func split(list string) []string {
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
