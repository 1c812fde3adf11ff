package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"casdelius/store"
)

// duplicateWindow is how long a stream knows a message id again.
const duplicateWindow = time.Hour

// What a message of NATS must have room for: an event with the largest detail that is
// fetched, 512 KiB, and as much of headers as a stream takes; and, to have room for
// rejected messages too, 1 MiB that does not compress.
const (
	leastMaxPayload = 512<<10 + 64<<10
	ampleMaxPayload = 8 << 20
)

// Ensure makes the two streams where they are missing and looks at all that has to be so
// for events to be kept: the streams that exist, the version of the server, the size of a
// message, and whether the servers wait for the disk before they acknowledge. What would
// lose events is a [SettingsError]; all of them are joined, so that an operator sees the
// whole list at once. What could is logged as one warning. Nothing that exists is ever
// changed: whoever set it had a reason, and some of it cannot be undone.
func (l *Log) Ensure(ctx context.Context) error {
	found := l.inspect(ctx, l.makeStream)
	found.warn(ctx, l.logger)
	return found.err()
}

// inspect reads everything that has to be so; stream gives each of the two streams.
func (l *Log) inspect(ctx context.Context, stream func(context.Context, js.StreamConfig) (js.Stream, error)) *findings {
	var found findings
	of := "the NATS server at " + server(l.conn)
	v := l.conn.ConnectedServerVersion()
	if v == "" {
		found.fail(l.disconnected())
		return &found
	}
	if !supported(v) {
		found.refuse(of, Difference{Setting: "version", Have: v, Want: oldestServer + " or later"})
		return &found
	}
	payload := Difference{Setting: "max_payload", Have: fmt.Sprint(l.conn.MaxPayload()), Want: fmt.Sprint(ampleMaxPayload)}
	switch size := l.conn.MaxPayload(); {
	case size < leastMaxPayload:
		payload.Do = "events with a large detail would be rejected"
		found.refuse(of, payload)
	case size < ampleMaxPayload:
		payload.Do = "a rejected message may not fit"
		found.doubt(of + ": " + payload.String())
	}
	for _, want := range []js.StreamConfig{l.eventsConfig(), l.rejectedConfig()} {
		s, err := stream(ctx, want)
		if err != nil {
			found.fail(err)
			continue
		}
		// A stream that was just made is looked at too: a server may ignore what it does not know.
		found.refuse("stream "+want.Name, shortfalls(s.CachedInfo().Config, want)...)
	}
	l.inspectDisks(ctx, &found)
	return &found
}

func (l *Log) eventsConfig() js.StreamConfig {
	return l.streamConfig(EventsStream, "Domain events of CAS2 and CAS3 with their details", store.Subjects, l.cfg.MaxBytes)
}

func (l *Log) rejectedConfig() js.StreamConfig {
	return l.streamConfig(RejectedStream, "Messages that can never become an event, with the reason", store.RejectedSubjects, l.cfg.RejectedMaxBytes)
}

// streamConfig is a stream that keeps everything and refuses what does not fit. What
// is not named here is right as the server's default: no limit on age, on messages or
// on their size, no compression, no roll-up, no time to live, persist mode default.
func (l *Log) streamConfig(name, description, subjects string, maxBytes int64) js.StreamConfig {
	return js.StreamConfig{
		Name:        name,
		Description: description,
		Subjects:    []string{subjects},
		Storage:     js.FileStorage,
		Retention:   js.LimitsPolicy,
		Discard:     js.DiscardNew,
		MaxBytes:    maxBytes,
		Replicas:    l.cfg.Replicas,
		Duplicates:  duplicateWindow,
		DenyDelete:  true,
		DenyPurge:   true,
		Compression: js.NoCompression,
		PersistMode: js.DefaultPersistMode,
	}
}

// makeStream gives a stream, which it makes if it is missing.
func (l *Log) makeStream(ctx context.Context, want js.StreamConfig) (js.Stream, error) {
	stream, err := l.js.Stream(ctx, want.Name)
	if errors.Is(err, js.ErrStreamNotFound) {
		stream, err = l.js.CreateStream(ctx, want)
		if errors.Is(err, js.ErrStreamNameAlreadyInUse) { // another process was quicker
			stream, err = l.js.Stream(ctx, want.Name)
		}
	}
	return stream, l.notMade(want, err)
}

// notMade translates the error of making a stream, with what to do where that is known.
func (l *Log) notMade(want js.StreamConfig, err error) error {
	doing := "make or read stream " + want.Name
	if denied := l.denied(err); denied != nil {
		return fmt.Errorf("%s: %w: %w: have the administrator run `ingest streams`", doing, ErrUnavailable, denied)
	}
	var answer js.JetStreamError
	if !errors.As(err, &answer) || answer.APIError() == nil {
		return translate(doing, err)
	}
	switch answer.APIError().ErrorCode {
	case codeNotClustered:
		return &SettingsError{"the NATS server at " + server(l.conn), []Difference{{
			Setting: "STREAM_REPLICAS", Have: fmt.Sprintf("%d, but no cluster", want.Replicas),
			Want: "1, or a cluster behind NATS_URL", Do: "the server says: " + answer.APIError().Description,
		}}}
	case codeNoPeers:
		doing += fmt.Sprintf(": STREAM_REPLICAS is %d, and fewer servers are up in the cluster behind NATS_URL", want.Replicas)
	}
	return translate(doing, err)
}

// existingStream gives a stream, and makes none.
func (l *Log) existingStream(ctx context.Context, want js.StreamConfig) (js.Stream, error) {
	stream, err := l.js.Stream(ctx, want.Name)
	return stream, translate("read stream "+want.Name, err)
}

// variables are what else may be changed about a setting.
var variables = map[string]string{
	"num_replicas": "or set STREAM_REPLICAS to fewer",
	"max_bytes":    "or, of CAS_EVENTS, set STREAM_MAX_BYTES to less",
}

// shortfalls lists the settings in which have is weaker than want. More is fine: more
// replicas, more room, a longer duplicate window.
func shortfalls(have, want js.StreamConfig) []Difference {
	var list []Difference
	need := func(ok bool, setting string, have, want any) {
		if !ok {
			list = append(list, Difference{Setting: setting, Have: fmt.Sprint(have), Want: fmt.Sprint(want), Do: variables[setting]})
		}
	}
	unlimited := func(n int64) bool { return n <= 0 }
	slices.Sort(have.Subjects)
	need(slices.Equal(have.Subjects, want.Subjects), "subjects", have.Subjects, want.Subjects)
	need(have.Storage == want.Storage, "storage", have.Storage, want.Storage)
	need(have.Retention == want.Retention, "retention", have.Retention, want.Retention)
	need(have.Discard == want.Discard, "discard", have.Discard, want.Discard)
	need(have.Replicas >= want.Replicas, "num_replicas", have.Replicas, want.Replicas)
	need(have.MaxBytes >= want.MaxBytes, "max_bytes", have.MaxBytes, want.MaxBytes)
	need(have.MaxAge == 0, "max_age", have.MaxAge, "none")
	need(unlimited(have.MaxMsgs), "max_msgs", have.MaxMsgs, "none")
	need(unlimited(have.MaxMsgsPerSubject), "max_msgs_per_subject", have.MaxMsgsPerSubject, "none")
	need(unlimited(int64(have.MaxMsgSize)), "max_msg_size", have.MaxMsgSize, "none")
	need(have.Duplicates >= want.Duplicates, "duplicate_window", have.Duplicates, want.Duplicates)
	need(have.DenyDelete, "deny_delete", have.DenyDelete, true)
	need(have.DenyPurge, "deny_purge", have.DenyPurge, true)
	need(have.PersistMode == want.PersistMode, "persist_mode", persistMode(have.PersistMode), persistMode(want.PersistMode))
	need(have.Compression == want.Compression, "compression", have.Compression, want.Compression)
	need(!have.NoAck, "no_ack", have.NoAck, false)
	need(!have.Sealed, "sealed", have.Sealed, false)
	need(!have.AllowRollup, "allow_rollup_hdrs", have.AllowRollup, false)
	need(!have.AllowMsgTTL, "allow_msg_ttl", have.AllowMsgTTL, false)
	need(!have.AllowMsgCounter, "allow_msg_counter", have.AllowMsgCounter, false)
	need(!have.AllowMsgSchedules, "allow_msg_schedules", have.AllowMsgSchedules, false)
	need(have.SubjectTransform == nil, "subject_transform", "one", "none")
	need(have.Mirror == nil, "mirror", "one", "none")
	need(len(have.Sources) == 0, "sources", len(have.Sources), "none")
	return list
}

func persistMode(m js.PersistModeType) string {
	if m == js.AsyncPersistMode {
		return "async"
	}
	return "default"
}

// oldestServer is the oldest version whose way of storing was looked into.
const oldestServer = "2.15.2"

// supported says whether a server of this version is at least oldestServer.
func supported(version string) bool {
	return slices.Compare(numbers(version), numbers(oldestServer)) >= 0
}

// numbers takes the major, minor and patch number of a version, without what follows.
func numbers(version string) []int {
	var n [3]int
	version, _, _ = strings.Cut(version, "-")
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &n[0], &n[1], &n[2]); err != nil {
		return nil // no version that we know: older than every other
	}
	return n[:]
}
