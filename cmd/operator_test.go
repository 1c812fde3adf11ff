package cmd_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

// refused are the commands that a lesser role is refused, by that role: those that ask NATS for
// what is not its own.
var refused = map[string][][]string{
	natstest.Ingest: {{"projector", "rebuild"}, {"projector", "verify"}, {"projector", "adopt-stream"}},
	natstest.Projector: {
		{"ingest", "rejected", "list"},
		{"ingest", "rejected", "show", "1"},
		{"ingest", "rejected", "replay", "1"},
		{"ingest", "rejected", "dismiss", "1", "--why", "a test"},
	},
}

// Catches a permission that a command needs and the operator's role lacks, and an error that
// does not say that it is the role.
func TestCommandsRunAsTheOperatorAndALesserRoleIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	histories := s.generate(t, storetest.Options{Seed: 1, People: 2})
	_, running := s.run(t)
	s.raiseAll(t, histories)
	s.settle(t)
	running.stop()
	rejected := histories[0].Events[0]
	rejected.Notification = []byte(strings.Replace(string(rejected.Notification), "detailUrl", "elsewhere", 1))
	s.deliver(t, rejected)
	s.settle(t)
	s.exec(t, "delete from projection.event where sequence <= 3") // which the rebuild reads again
	p := s.build(t)
	var asking sync.WaitGroup // each waits for an answer for 10 s
	for role, commands := range refused {
		for _, command := range commands {
			asking.Go(func() {
				said, err := p.command(role, command...).CombinedOutput()
				assert.Error(t, err, command)
				assert.Contains(t, string(said), "the user of NATS_URL or NATS_CREDS may not", command)
			})
		}
	}
	asking.Wait()
	for _, command := range []string{
		"projector rebuild", "projector plan", "projector verify", "projector adopt-stream", "projector parked", "projector conflicts", "projector audit",
		"projector history " + string(histories[0].Person.CRN),
		"ingest rejected list", "ingest rejected show 1", "ingest rejected dismiss 1 --why test",
	} {
		require.NotEmpty(t, p.output(t, strings.Fields(command)...), command)
	}
	said, err := p.command(natstest.Operator, "ingest", "rejected", "replay", "1").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), "0 replayed, 1 failed", "it is read, and can never be replayed")
	s.project(t)
	s.settle(t)
	s.twin.Project(time.Now())
	s.requireRows(t)
}
