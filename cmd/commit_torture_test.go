//go:build torture

package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/store"
	"casdelius/store/torturetest"
)

// cuts is how often the whole torture cuts a connection at its COMMIT.
const cuts = 400

// Where a connection is cut.
type where string

const (
	nowhere where = ""
	before  where = "before the COMMIT gets through"
	beside  where = "when the COMMIT is sent"
	after   where = "after the COMMIT, before its answer gets through"
)

// TestTortureUnknownCommits cuts the connections of two projectors at their COMMITs, under load:
// what came of these the projectors cannot know.
func TestTortureUnknownCommits(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, torturetest.Part(t, cuts/4))
	most := torturetest.Part(t, cuts)
	chance := torturetest.Random(t) // the network's own
	met := map[where]int{}
	network := f.throughNetwork(func() where {
		if met[before]+met[beside]+met[after] == most || chance.IntN(4) > 0 {
			return nowhere
		}
		at := []where{before, beside, after}[chance.IntN(3)]
		met[at]++
		return at
	})
	for _, service := range []string{ofIngest, ofProjector, ofProjector, ofRelay} {
		f.launch(service)
	}
	for part := range slices.Chunk(shuffled(f.chance, f.histories), 20) {
		f.raise(t, part...)
		eventually(t, "the inbox has them", func() bool { return f.inboxComplete(t) })
	}
	for network.met(met, most) == nil {
		f.lookAgain(t) // a step that has nothing to write commits as well
	}
	f.requireConverged(t)
	f.requireStill(t)
	for at, n := range network.met(met, 0) {
		torturetest.Figure(t, "cuts "+string(at), n)
	}
}

// TestTortureControlUnknownCommits: a writer that writes the same once more after an unknown end,
// with nothing in the ledger's way.
func TestTortureControlUnknownCommits(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, 1)
	f.exec(t, "alter table projection.contact drop constraint contact_pkey, drop constraint contact_contact_id_key")
	var steps blindSteps
	f.throughNetwork(func() where {
		if steps.cut.Swap(false) {
			return after
		}
		return nowhere
	})
	f.ports = func(db *postgres.Database) projector.Ports {
		ports := db.Ports()
		steps.Steps = ports.Steps
		ports.Steps = &steps
		return ports
	}
	f.launch(ofIngest)
	f.project(t, func(c *projector.Config) { c.Search = time.Hour })
	for range 5 {
		f.raise(t, f.event(t, store.PersonDeparted, newReferral(), "2024-03-01T12:00:00Z", departure("2024-03-01T12:00:00Z", "Left")))
		f.settle(t)
	}
	torturetest.RequireCaught(t, "a row is not as the events say", func(tb testing.TB) { f.requireTwin(tb) })
}

// blindSteps are steps that write what was decided once more after an error. At the COMMIT that
// comes next the connection is to be cut.
type blindSteps struct {
	projector.Steps
	cut atomic.Bool
}

func (s *blindSteps) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	step, err := s.Steps.Begin(ctx, selection)
	return blindStep{step, s, selection}, err
}

type blindStep struct {
	projector.Step
	of        *blindSteps
	selection projector.Selection
}

func (s blindStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	s.of.cut.Store(true)
	applied, err := s.Step.Apply(ctx, decisions, now)
	if err == nil {
		return applied, nil
	}
	s.selection.Due = false
	again, err := s.of.Steps.Begin(ctx, s.selection)
	if err != nil {
		return applied, err
	}
	defer again.Rollback(ctx)
	return again.Apply(ctx, decisions, now)
}

// network is what is between projectors and PostgreSQL. It can be cut at a COMMIT.
type network struct {
	mu  sync.Mutex
	cut func() where // of each COMMIT, one after the other
}

// throughNetwork has the projectors that are started from now on talk to the database through a
// network, which decides of each COMMIT whether it is cut there.
func (f *faulty) throughNetwork(cut func() where) *network {
	f.t.Helper()
	u, err := url.Parse(f.database)
	require.NoError(f.t, err)
	n := &network{cut: cut}
	u.Host = newLink(f.t, u.Host, n.carry).address()
	f.direct, f.database = f.database, u.String()
	return n
}

// met is where connections were cut; nil for as long as that is fewer than so many.
func (n *network) met(met map[where]int, most int) map[where]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if met[before]+met[beside]+met[after] < most {
		return nil
	}
	return met
}

func (n *network) carry(client, server net.Conn) {
	c := &connection{n: n, client: client, server: server}
	var both sync.WaitGroup
	both.Go(c.ask)
	both.Go(c.answer)
	both.Wait()
}

// connection is one that is carried.
type connection struct {
	n              *network
	client, server net.Conn
	swallows       atomic.Bool // the next answer, with which it is cut
}

func (c *connection) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

// ask carries what the client says, message by message, and looks for COMMITs.
func (c *connection) ask() {
	defer c.close()
	in := bufio.NewReader(c.client)
	first := true
	for {
		message, err := readMessage(in, first)
		if err != nil {
			return
		}
		first = false
		at := nowhere
		if bytes.Equal(message, append([]byte{'Q', 0, 0, 0, 11}, "commit\x00"...)) {
			c.n.mu.Lock()
			at = c.n.cut()
			c.n.mu.Unlock()
		}
		if at == before {
			return
		}
		c.swallows.Store(at == after)
		if _, err := c.server.Write(message); err != nil || at == beside {
			return
		}
	}
}

// readMessage reads a message of PostgreSQL's protocol. The first one of a connection has no
// letter that says what it is.
func readMessage(in *bufio.Reader, first bool) ([]byte, error) {
	letter := 1
	if first {
		letter = 0
	}
	head, err := in.Peek(letter + 4)
	if err != nil {
		return nil, err
	}
	message := make([]byte, letter+int(binary.BigEndian.Uint32(head[letter:])))
	_, err = io.ReadFull(in, message)
	return message, err
}

// answer carries what the server says.
func (c *connection) answer() {
	defer c.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buffer)
		if err != nil || c.swallows.Load() {
			return
		}
		if _, err := c.client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
