package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/relay/relaytest"
	"casdelius/projector/sns/snstest"
)

// topicName is the topic that notices of address rows are sent to.
const topicName = "hmpps-domain-events"

// personRecord does what the core person record does: it hears that an address row was
// written, and reads the row by its id.
type personRecord struct {
	relaytest.Subscriber
	delius postgrestest.Delius

	mu     sync.Mutex
	toRead []int64
	read   map[int64]addressRead
	more   chan struct{} // holds a token when there is something to read
}

// addressRead is an address row as it was last read.
type addressRead struct{ crn, status string }

func newPersonRecord(delius postgrestest.Delius) *personRecord {
	return &personRecord{delius: delius, read: map[int64]addressRead{}, more: make(chan struct{}, 1)}
}

// told takes in a message.
func (p *personRecord) told(m snstest.Message) {
	id := p.Hear(m)
	p.mu.Lock()
	p.toRead = append(p.toRead, id)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// follow reads what it was told of, one row after the other, until ctx ends.
func (p *personRecord) follow(ctx context.Context) error {
	for {
		select {
		case <-p.more:
		case <-ctx.Done():
			return nil
		}
		for _, id := range p.next() {
			if err := p.look(ctx, id); ctx.Err() != nil {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
}

// next are the rows to read. They count as read when they have been, so idle is asked for
// what is left after that.
func (p *personRecord) next() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.toRead)
}

func (p *personRecord) look(ctx context.Context, id int64) error {
	var a addressRead
	err := p.delius.Pool.QueryRow(ctx, `
		select o.crn, s.code_description from delius.offender_address a join delius.offender o using (offender_id)
		join delius.r_standard_reference_list s on s.standard_reference_list_id = a.address_status_id
		where a.offender_address_id = $1`, id).Scan(&a.crn, &a.status)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read address %d again: %w", id, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toRead, p.read[id] = p.toRead[1:], a
	return nil
}

// behind is how many messages it has not dealt with yet.
func (p *personRecord) behind() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.toRead)
}

// differences say in what it has not heard exactly what the projectors committed, and of which
// rows it has not read what they wrote last.
func (p *personRecord) differences(committed []postgrestest.AddressChange) []string {
	all := p.Differences(committed)
	last := map[int64]postgrestest.AddressChange{}
	for _, c := range committed {
		last[c.AddressID] = c
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(last)) {
		want, have := addressRead{last[id].CRN, last[id].Status}, p.read[id]
		if have != want {
			all = append(all, fmt.Sprintf("address %d as it was last read after a notice:\n    - %s %s\n    + %s %s", id, want.crn, want.status, have.crn, have.status))
		}
	}
	return all
}
