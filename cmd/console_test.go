package cmd_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

// The console is the program as it is shipped, as its own roles in the database and at NATS.
// Broken variants: a role at NATS that lacks what the list of rejected messages needs, of which
// the first page then says that it could not be asked for; a list that is not read again.
func TestTheConsoleShowsAPersonAndWhatIsRejectedAsItsRoles(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	s := setupOn(t, database.Delius, database.URL)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 1})
	s.run(t)
	s.raise(t, shuffled(chance, histories)...)
	s.settle(t)
	operator := s.connect(t, "test")
	defer operator.Close() //nolint:errcheck // the test has ended
	require.NoError(t, operator.Reject(ctx, store.Rejection{Reason: store.Malformed, Problem: "no JSON at all", MessageID: "one", Body: []byte("<secret>")}))

	page := s.console(t, database.Owner)
	person := page("/person/" + string(histories[0].Person.CRN))
	require.Contains(t, person, histories[0].Events[0].Event.ID)
	require.NotContains(t, page("/"), "could not be asked")
	eventually(t, "what is rejected is listed", func() bool { return strings.Contains(page("/rejected"), "no JSON at all") })
	require.Contains(t, page("/rejected/1"), "no JSON at all")
	require.NotContains(t, page("/rejected/1"), "secret", "whoever is not signed in sees no body")
	require.NoError(t, operator.Mark(ctx, 1, store.Mark{Dismissed: true, Who: "jane.smith", Why: "a test"}))
	eventually(t, "what is dismissed is listed no more", func() bool { return strings.Contains(page("/rejected"), "Nothing is rejected") })
	require.Contains(t, page("/rejected/1"), "jane.smith")
}

// console starts one on the owner's database, and gives its pages.
func (s *system) console(t *testing.T, database string) (page func(at string) string) {
	t.Helper()
	name := "console_" + path.Base(strings.SplitN(database, "?", 2)[0])
	reader, err := postgrestest.AddRole(ctx, database, name, postgres.ConsoleGrants(name))
	require.NoError(t, err)
	running, stop := context.WithCancel(ctx)
	command := exec.CommandContext(running, buildProjector(t), "console", "--address", "127.0.0.1:0")
	command.Env = append(os.Environ(), "CONSOLE_DATABASE_URL="+reader, "NATS_URL="+s.nats.URLAs(natstest.Console), "NATS_INBOX_PREFIX="+natstest.InboxOf(natstest.Console), "LOG_FORMAT=json")
	said := newJournal(t)
	command.Stdout, command.Stderr = said, said
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		stop()
		_ = command.Wait()
	})
	started := regexp.MustCompile(`"pages":"([^"]+)"`)
	var address string
	eventually(t, "the console has started", func() bool {
		if found := started.FindStringSubmatch(said.text()); found != nil {
			address = found[1]
		}
		return address != ""
	})
	return func(at string) string {
		answer, err := http.Get(address + at)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode, string(body))
		return string(body)
	}
}
