package jetstream

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"casdelius/store"
)

// Headers of the messages in CAS_REJECTED. Texts are percent-encoded.
const (
	headerProblem  = "cas-problem"
	headerMessage  = "cas-message-id"
	headerReceived = "cas-receive-count"
	headerAnswer   = "cas-answer-bytes" // how many bytes of the data, its last, are the answer that came instead of a detail
	headerReplayed = "cas-replayed"     // in a mark: the sequence that was replayed, or dismissed
	headerDismiss  = "cas-dismissed"    // in a mark: it was dismissed
	headerWho      = "cas-who"          // in a mark: by whom
	headerWhy      = "cas-why"          // in a mark: why
	headerEncoding = "content-encoding"
	encodingGzip   = "gzip"
)

// replayedSubject is where the marks stand. No reason has this name.
const replayedSubject = "cas.rejected.replayed"

const (
	maxText     = 4 << 10  // bytes of a text in a header
	maxBody     = 64 << 20 // bytes of a decompressed body: far more than a queue delivers
	maxOverhead = 4 << 10  // bytes left for the headers that publishing adds
)

// RejectedMessage is a message of the stream of rejected messages.
type RejectedMessage struct {
	store.Rejection
	Sequence uint64
	Stored   time.Time
	Mark     *store.Mark // what somebody made of it; nil for nothing yet
	Err      error       // set where the message is no rejection of ours; Rejection is then empty
}

// Reject stores a message that can never become an event, whole, and returns when it
// is on disk. Its errors are those of [Log.Append]. The same message within an
// hour is stored once. The answer that came instead of a detail follows the body, and a
// header says how long it is. What does not fit into a message is compressed.
func (l *Log) Reject(ctx context.Context, r store.Rejection) error {
	doing := fmt.Sprintf("store rejected message %q (%s)", clip(r.MessageID, 128), r.Reason)
	msg := &nats.Msg{
		Subject: r.Reason.Subject(),
		Header: nats.Header{
			headerProblem:  {url.PathEscape(clip(r.Problem, maxText))},
			headerMessage:  {url.PathEscape(clip(r.MessageID, maxText))},
			headerReceived: {strconv.Itoa(r.ReceiveCount)},
		},
		Data: r.Body,
	}
	if len(r.Answer) > 0 {
		msg.Data = slices.Concat(r.Body, r.Answer)
		msg.Header.Set(headerAnswer, strconv.Itoa(len(r.Answer)))
	}
	if int64(msg.Size()+maxOverhead) > l.conn.MaxPayload() {
		compressed, err := compress(msg.Data)
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		msg.Data = compressed
		msg.Header.Set(headerEncoding, encodingGzip)
	}
	_, err := l.publish(ctx, RejectedStream, rejectionID(r), msg)
	return refused(doing, err)
}

// rejectionID is the Nats-Msg-Id of a rejection: the hash of the message's own id and
// its body. The id alone would not do: two bodies that claim one id are two messages.
func rejectionID(r store.Rejection) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d:%s", len(r.MessageID), r.MessageID)
	hash.Write(r.Body)
	return hex.EncodeToString(hash.Sum(nil))
}

// Rejected lists the rejected messages in order, those that were replayed or dismissed since with
// their mark. Where the stream was never made it fails with [ErrNotFound].
func (l *Log) Rejected(ctx context.Context) iter.Seq2[RejectedMessage, error] {
	return func(yield func(RejectedMessage, error) bool) {
		if err := l.findRejected(ctx); err != nil {
			yield(RejectedMessage{}, err)
			return
		}
		replayed, err := l.replayed(ctx)
		if err != nil {
			yield(RejectedMessage{}, err)
			return
		}
		for m, err := range l.scan(ctx, RejectedStream, "", 0, 0) {
			if err != nil {
				yield(RejectedMessage{}, err)
				return
			}
			if m.subject == replayedSubject {
				continue
			}
			if !yield(m.rejected(replayed), nil) {
				return
			}
		}
	}
}

// findRejected fails with [ErrNotFound] where the stream of rejected messages was never
// made. Any other error is left to whoever reads the stream.
func (l *Log) findRejected(ctx context.Context) error {
	if _, err := l.js.Stream(ctx, RejectedStream); errors.Is(err, js.ErrStreamNotFound) {
		return fmt.Errorf("%w: there is no stream %s on these servers: nothing has been stored there yet", ErrNotFound, RejectedStream)
	}
	return nil
}

// RejectedBySequence gives one rejected message, [ErrNotFound] if there is none.
func (l *Log) RejectedBySequence(ctx context.Context, sequence uint64) (RejectedMessage, error) {
	if err := l.findRejected(ctx); err != nil {
		return RejectedMessage{}, err
	}
	m, err := l.rejectedAt(ctx, sequence)
	if err != nil {
		return RejectedMessage{}, err
	}
	replayed, err := l.replayed(ctx)
	if err != nil {
		return RejectedMessage{}, err
	}
	return m.rejected(replayed), nil
}

// Mark notes that the rejected message with this sequence was replayed, or dismissed. It is
// to be called once a replay has led somewhere, as lists hide the message from then
// on. The first mark counts.
func (l *Log) Mark(ctx context.Context, sequence uint64, mark store.Mark) error {
	if _, err := l.rejectedAt(ctx, sequence); err != nil {
		return err
	}
	text := strconv.FormatUint(sequence, 10)
	msg := &nats.Msg{Subject: replayedSubject, Header: nats.Header{
		headerReplayed: {text}, headerWho: {url.PathEscape(clip(mark.Who, maxText))}, headerWhy: {url.PathEscape(clip(mark.Why, maxText))},
	}}
	if mark.Dismissed {
		msg.Header.Set(headerDismiss, "yes")
	}
	_, err := l.publish(ctx, RejectedStream, "replayed "+text, msg)
	return l.translate("mark rejected message "+text, err)
}

// replayed reads all marks, by the sequences of what they are about.
func (l *Log) replayed(ctx context.Context) (map[uint64]*store.Mark, error) {
	sequences := map[uint64]*store.Mark{}
	for m, err := range l.scan(ctx, RejectedStream, replayedSubject, 0, 0) {
		if err != nil {
			return nil, err
		}
		if n, ok := m.marks(); ok && sequences[n] == nil {
			sequences[n] = m.mark()
		}
	}
	return sequences, nil
}

// marks is the sequence of what a mark is about.
func (m message) marks() (sequence uint64, ok bool) {
	sequence, err := strconv.ParseUint(m.header.Get(headerReplayed), 10, 64)
	return sequence, err == nil
}

// mark is what a mark says. One of an older version does not say by whom.
func (m message) mark() *store.Mark {
	is := &store.Mark{Dismissed: m.header.Get(headerDismiss) != ""}
	is.Who, _ = url.PathUnescape(m.header.Get(headerWho)) // one that is not ours says nothing
	is.Why, _ = url.PathUnescape(m.header.Get(headerWhy))
	return is
}

// rejectedAt fetches one message that is no mark.
func (l *Log) rejectedAt(ctx context.Context, sequence uint64) (message, error) {
	doing := fmt.Sprintf("look up rejected message %d", sequence)
	stream, err := l.stream(ctx, RejectedStream)
	if err != nil {
		return message{}, fmt.Errorf("%s: %w", doing, err)
	}
	raw, err := stream.GetMsg(ctx, sequence)
	if err != nil {
		return message{}, l.translate(doing, err)
	}
	if raw.Subject == replayedSubject {
		return message{}, fmt.Errorf("%s: %w: it is the mark of a replay", doing, ErrNotFound)
	}
	return fromRaw(raw), nil
}

func fromRaw(raw *js.RawStreamMsg) message {
	return message{raw.Subject, raw.Header, raw.Data, raw.Sequence, raw.Time.UTC(), 0}
}

// rejected makes a rejection of the message, or says why it is none.
func (m message) rejected(marks map[uint64]*store.Mark) RejectedMessage {
	r := RejectedMessage{Sequence: m.sequence, Stored: m.stored, Mark: marks[m.sequence]}
	r.Rejection, r.Err = m.rejection()
	if r.Err != nil {
		r.Err = fmt.Errorf("message %d of stream %s: %w", m.sequence, RejectedStream, r.Err)
	}
	return r
}

func (m message) rejection() (store.Rejection, error) {
	r := store.Rejection{Body: m.data}
	var err error
	if r.Reason, err = store.ParseReason(strings.TrimPrefix(m.subject, "cas.rejected.")); err != nil {
		return store.Rejection{}, fmt.Errorf("subject %q: %w", m.subject, err)
	}
	if r.Problem, err = url.PathUnescape(m.header.Get(headerProblem)); err != nil {
		return store.Rejection{}, fmt.Errorf("header %s: %w", headerProblem, err)
	}
	if r.MessageID, err = url.PathUnescape(m.header.Get(headerMessage)); err != nil {
		return store.Rejection{}, fmt.Errorf("header %s: %w", headerMessage, err)
	}
	if r.ReceiveCount, err = strconv.Atoi(m.header.Get(headerReceived)); err != nil {
		return store.Rejection{}, fmt.Errorf("header %s: %w", headerReceived, err)
	}
	if m.header.Get(headerEncoding) == encodingGzip {
		if r.Body, err = decompress(m.data); err != nil {
			return store.Rejection{}, fmt.Errorf("compressed body: %w", err)
		}
	}
	if text := m.header.Get(headerAnswer); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > len(r.Body) {
			return store.Rejection{}, fmt.Errorf("header %s is %q, of %d bytes", headerAnswer, text, len(r.Body))
		}
		r.Body, r.Answer = r.Body[:len(r.Body)-n], r.Body[len(r.Body)-n:]
	}
	return r, nil
}

func compress(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

func decompress(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(plain) > maxBody {
		err = fmt.Errorf("more than %d bytes", maxBody)
	}
	return plain, err
}

// clip shortens a text to at most n bytes of whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
