package jetstream

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
)

// Names of the streams.
const (
	EventsStream   = "CAS_EVENTS"
	RejectedStream = "CAS_REJECTED"
)

// maxInFlight bounds the messages of one connection that wait for acknowledgement. It
// is well below the 10,000 at which a server turns messages away.
const maxInFlight = 4096

// Log is a connection to the log. It is safe for concurrent use.
type Log struct {
	cfg    Config
	conn   *nats.Conn
	js     js.JetStream
	logger *slog.Logger

	watching sync.WaitGroup
	unwatch  func()
	found    atomic.Pointer[findings] // by the last look at the settings
}

// Connect connects to one of the servers of cfg and fails with [ErrUnavailable] if
// none answers: a service that cannot reach its log should not look started. Once
// connected it reconnects for ever; what is called meanwhile fails at once instead of
// being buffered where a crash would lose it.
func Connect(ctx context.Context, cfg Config, logger *slog.Logger) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := readable(cfg); err != nil {
		return nil, err
	}
	conn, err := dial(ctx, cfg, logger)
	if err != nil {
		return nil, translate(cfg.connecting(err), err)
	}
	stream, err := js.New(conn,
		js.WithDefaultTimeout(cfg.Timeout),
		js.WithPublishAsyncTimeout(cfg.Timeout),
		js.WithPublishAsyncMaxPending(maxInFlight),
	)
	if err != nil {
		conn.Close()
		return nil, translate("use JetStream", err)
	}
	return &Log{cfg: cfg, conn: conn, js: stream, logger: logger, unwatch: func() {}}, nil
}

// readable says whether the files that the configuration names can be read: a file that
// cannot is a mistake, not an outage.
func readable(cfg Config) error {
	var problems []error
	for _, f := range []struct{ variable, path string }{{"NATS_CREDS", cfg.Creds}, {"NATS_CA", cfg.CA}} {
		if f.path == "" {
			continue
		}
		if _, err := os.ReadFile(f.path); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", f.variable, err))
		}
	}
	return errors.Join(problems...)
}

// connecting says what was tried when connecting failed, and which variable says so.
func (c Config) connecting(err error) string {
	doing := "connect to NATS at " + c.servers() + " (NATS_URL"
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrNoUserCB):
		doing += ", NATS_CREDS " + cmp.Or(c.Creds, "is not set")
	case errors.As(err, &unknown):
		doing += ", NATS_CA " + cmp.Or(c.CA, "is not set") + ": set it to a file with the authority that has signed the server's certificate"
	case errors.As(err, &other):
		doing += ": name the server there as its certificate does"
	}
	return doing + ")"
}

// dial opens the connection. The client library knows no contexts: the time that ctx
// leaves bounds each attempt, and the attempts are left alone when ctx ends.
func dial(ctx context.Context, cfg Config, logger *slog.Logger) (*nats.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	timeout := cfg.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	options := []nats.Option{
		nats.Name(cfg.Name),
		nats.CustomInboxPrefix(cfg.Inbox),
		nats.Timeout(timeout),
		nats.FlusherTimeout(timeout), // of a write, which others wait for
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.IgnoreAuthErrorAbort(), // credentials are rotated while we run
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("disconnected from NATS", "error", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			logger.Info("reconnected to NATS", "server", server(conn))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			logger.Warn("NATS reports an error", "error", err)
		}),
	}
	if cfg.Creds != "" {
		options = append(options, nats.UserCredentials(cfg.Creds))
	}
	if cfg.CA != "" {
		options = append(options, nats.RootCAs(cfg.CA))
	}
	type result struct {
		conn *nats.Conn
		err  error
	}
	connected := make(chan result, 1)
	go func() {
		conn, err := nats.Connect(cfg.URL, options...)
		connected <- result{conn, err}
	}()
	select {
	case r := <-connected:
		return r.conn, r.err
	case <-ctx.Done():
		go func() { // a connection that is made all the same is nobody's
			if r := <-connected; r.conn != nil {
				r.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// flushTime bounds the wait for a server that does not answer any more.
const flushTime = time.Second

// Close hands what is still buffered to the server, which takes at most a second, and
// disconnects. Followers are to be closed before.
func (l *Log) Close() error {
	l.unwatch()
	l.watching.Wait()
	defer l.conn.Close()
	if !l.conn.IsConnected() {
		return nil // nothing is buffered while disconnected
	}
	if err := l.conn.FlushTimeout(min(flushTime, l.cfg.Timeout)); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return translate("flush the connection to NATS", err)
	}
	return nil
}

// stream looks a stream up for reading. Where it allows direct reads the library would
// ask any replica, and take what one that lags behind does not have yet for missing:
// only the leader is asked.
func (l *Log) stream(ctx context.Context, name string) (js.Stream, error) {
	stream, err := l.js.Stream(ctx, name)
	if err != nil {
		return nil, translate("read stream "+name, err)
	}
	stream.CachedInfo().Config.AllowDirect = false
	return stream, nil
}

// Ready says whether both streams can be used: the connection stands and each stream
// has a leader that answers.
func (l *Log) Ready(ctx context.Context) error {
	if !l.conn.IsConnected() {
		return l.disconnected()
	}
	for _, name := range []string{EventsStream, RejectedStream} {
		if _, err := l.js.Stream(ctx, name); err != nil {
			return translate("read stream "+name, err)
		}
	}
	return nil
}

func (l *Log) disconnected() error {
	return fmt.Errorf("%w: the connection to %s (NATS_URL) is lost (%v)", ErrUnavailable, l.cfg.servers(), l.conn.Status())
}

// From gives the sequence of the first message of the stream of events from a sequence on, and
// when it was stored; 0 if there is none.
func (l *Log) From(ctx context.Context, sequence uint64) (uint64, time.Time, error) {
	stream, err := l.stream(ctx, EventsStream)
	if err != nil {
		return 0, time.Time{}, err
	}
	msg, err := stream.GetMsg(ctx, sequence, js.WithGetMsgSubject(">"))
	switch {
	case errors.Is(err, js.ErrMsgNotFound):
		return 0, time.Time{}, nil
	case err != nil:
		return 0, time.Time{}, translate(fmt.Sprintf("read message %d of stream %s", sequence, EventsStream), err)
	}
	return msg.Sequence, msg.Time.UTC(), nil
}

// Delivers says why the consumer of a durable name delivers nothing, to whoever follows it; nil
// if it does.
func (l *Log) Delivers(ctx context.Context, durable string) error {
	consumer, err := l.js.Consumer(ctx, EventsStream, durable)
	if err != nil {
		return translate(fmt.Sprintf("read consumer %q of stream %s", durable, EventsStream), err)
	}
	if is := consumer.CachedInfo(); is.Paused {
		return fmt.Errorf("consumer %q is paused for %s: nats consumer resume %s %s", durable, is.PauseRemaining.Round(time.Second), EventsStream, durable)
	}
	return nil
}

// Info is the state of the stream of events.
type Info struct {
	Created       time.Time // when the stream was made: another time, another stream
	FirstSequence uint64    // 1 as nothing is ever deleted, also while the stream is empty
	LastSequence  uint64    // 0 while the stream is empty
	Messages      uint64
	Bytes         uint64
	MaxBytes      int64 // at which the stream is full
}

// Info asks for the state of the stream of events.
func (l *Log) Info(ctx context.Context) (Info, error) {
	stream, err := l.js.Stream(ctx, EventsStream)
	if err != nil {
		return Info{}, translate("read stream "+EventsStream, err)
	}
	info := stream.CachedInfo()
	return Info{
		Created:       info.Created.UTC(),
		FirstSequence: max(info.State.FirstSeq, 1),
		LastSequence:  info.State.LastSeq,
		Messages:      info.State.Msgs,
		Bytes:         info.State.Bytes,
		MaxBytes:      info.Config.MaxBytes,
	}, nil
}
