package ingest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"casdelius/store"
)

// Imported is what became of one line of an import.
type Imported struct {
	Line int            // from 1
	Key  store.Identity // of its event, where Err is nil
	Ack  store.Ack
	Err  error // why it was not stored
}

// Importer brings events from files into the log, by the way that messages from the
// queue take. It is idempotent: importing a file again stores nothing new, at most
// duplicates that readers of the log disregard.
type Importer struct {
	Intake   *Intake
	InFlight int    // lines worked on at once
	Fetches  int    // those of them whose detail is fetched; 0: no fewer
	Tries    int    // for a line whose detail or log is unavailable
	Pauses   Pauses // between those tries
}

// Import reads JSON lines and calls report for each line that is not blank, one at a
// time and in no fixed order. A line is a notification (an SNS envelope or an event),
// whose detail is then fetched, or an object with a notification and perhaps its
// detail, which then counts byte for byte:
//
//	{"eventType":"…","version":1,"detailUrl":"…"}
//	{"notification":{"eventType":"…","version":1},"detail":{"id":"…","timestamp":"…","eventDetails":{…}}}
//
// A line that cannot be stored is reported and does not stop the others. The error is
// that of the reader, or of ctx.
func (im *Importer) Import(ctx context.Context, r io.Reader, report func(Imported)) error {
	var (
		working   sync.WaitGroup
		reporting sync.Mutex
		slots     = make(chan struct{}, im.InFlight)
		fetches   = make(chan struct{}, cmp.Or(im.Fetches, im.InFlight))
	)
	defer working.Wait()
	lines := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			working.Go(func() {
				defer func() { <-slots }()
				result := im.line(ctx, line, fetches)
				result.Line = number
				reporting.Lock()
				defer reporting.Unlock()
				report(result)
			})
		}
		switch {
		case errors.Is(err, io.EOF):
			working.Wait() // ctx may end while the last lines are worked on
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("read line %d: %w", number, err)
		}
	}
}

// line stores one line, and tries again while a part that it needs is unavailable.
func (im *Importer) line(ctx context.Context, line []byte, fetches chan struct{}) Imported {
	notification, detail, err := splitLine(line)
	if err != nil {
		return Imported{Err: err}
	}
	for try := 1; ; try++ {
		key, ack, err := im.store(ctx, notification, detail, fetches)
		if err == nil || try >= im.Tries || !passing(err) || !sleep(ctx, im.Pauses.at(try)) {
			return Imported{Key: key, Ack: ack, Err: err}
		}
	}
}

// store stores a notification with its detail, which it fetches when a fetch is free if
// none came along.
func (im *Importer) store(ctx context.Context, notification, detail []byte, fetches chan struct{}) (store.Identity, store.Ack, error) {
	if detail == nil {
		select {
		case fetches <- struct{}{}:
		case <-ctx.Done():
			return nil, store.Ack{}, ctx.Err()
		}
		defer func() { <-fetches }()
	}
	return im.Intake.Store(ctx, notification, detail)
}

// passing says whether an error may be gone at the next try: those of the log are
// taken for that but for its refusal of a size, those of a detail only where it is
// unavailable.
func passing(err error) bool {
	var rejection *RejectionError
	var detail *DetailError
	if errors.As(err, &detail) {
		return errors.Is(err, ErrUnavailable)
	}
	return !errors.As(err, &rejection) && !tooLarge(err)
}

// splitLine takes a line apart into the notification and the detail that came along,
// nil if none did.
func splitLine(line []byte) (notification, detail []byte, err error) {
	var parts struct {
		Notification jsontext.Value `json:"notification"`
		Detail       jsontext.Value `json:"detail"`
	}
	switch err := readLikeJackson(line, &parts); {
	case err != nil:
		return nil, nil, reject(store.Malformed, "the line is no JSON object: %v", err)
	case absent(parts.Notification):
		return line, nil, nil
	}
	return parts.Notification, parts.Detail, nil
}
