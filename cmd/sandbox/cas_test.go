package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/sns/snstest"
)

// free is an address of this machine where nobody listens.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// cas runs the command until stop is called, which gives its exit code and what it said.
func cas(t *testing.T, args []string) (told func() bool, stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs output
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, args, &out, &errs) }()
	return func() bool { return strings.Contains(out.String(), "Everything is told") }, func() string {
		cancel()
		assert.Equal(t, service.ExitOK, <-ended, errs.String())
		return out.String() + errs.String()
	}
}

// What docker compose starts as CAS, with the real ingest and projectors on the other side of
// topic and queue. It catches people who are not in Delius, so that every event parks; details
// that are not where notifications say; and a second start that doubles or edits anything.
func TestCASTellsItsStoryToServicesThatRunElsewhere(t *testing.T) {
	const people, seed = 24, 1
	s, err := start(t.Context(), parts{httpAddress: "127.0.0.1:0", console: "127.0.0.1:0", logs: slog.DiscardHandler})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.close()) })
	t.Setenv("AWS_ENDPOINT_URL_SNS", s.sns.URL())
	t.Setenv("AWS_ACCESS_KEY_ID", "local")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "local")
	s.sns.Subscribe(s.topic, func(m snstest.Message) {
		if typ := m.Attributes["eventType"]; !strings.HasPrefix(typ, "probation-case.address.") { // as the subscription filters
			assert.NoError(t, s.enqueue(context.Background(), event{m.Body, typ, m.ID}))
		}
	})
	address := free(t)
	s.casURL = "http://" + address
	args := []string{
		"cas", "--database-url", s.database, "--topic", s.topic, "--address", address, "--base-url", s.casURL,
		"--people", fmt.Sprint(people), "--seed", fmt.Sprint(seed), "--rate", "0", "--http-address", free(t),
	}
	serving, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(serving, 1, func(projector.Applied, time.Time) {}) }()
	t.Cleanup(func() {
		end()
		assert.NoError(t, <-served)
	})

	story := plan(seed, people, s.casURL)
	// Twenty-four people have a member of staff who is missing, visits and a merge.
	require.NotEmpty(t, story.withheld.Staff)
	require.NotEmpty(t, story.visits)
	told, stop := cas(t, args)
	st := &stage{system: s, story: story, post: &post{}, practitioners: &practitioners{}, observer: newObserver(nil), record: newPersonRecord(s.delius)}
	quiet := func() bool {
		n, err := st.snapshot(t.Context())
		require.NoError(t, err)
		return told() && n.queue.Visible+n.queue.InFlight == 0 && n.Due == 0 && n.waiting() == 0
	}
	require.Eventually(t, quiet, patience, 100*time.Millisecond)
	require.Contains(t, stop(), fmt.Sprintf("%d people", people))

	rows := func() map[string]fields {
		contacts, err := s.delius.Contacts(t.Context())
		require.NoError(t, err)
		return keyed(contacts, contactKey)
	}
	first := rows()
	visited := map[string]bool{}
	for _, v := range story.visits {
		visited[string(v.crn)] = true
	}
	var compared int
	for key, want := range keyed(referenceContacts(story.reference), contactKey) {
		require.Contains(t, first, key)
		if crn, _, _ := strings.Cut(key, " "); !visited[crn] {
			require.Equal(t, want, first[key], key)
			compared++
		}
	}
	require.Greater(t, compared, people)
	var edited int
	require.NoError(t, s.delius.Pool.QueryRow(t.Context(), `
		select (select count(*) from delius.contact join delius.user_ u on last_updated_user_id = u.user_id where distinguished_name = $1)
		+ (select count(*) from projection.conflict)`, postgrestest.Practitioner).Scan(&edited))
	require.Positive(t, edited, "a practitioner's edit stands, or was replaced")

	told, stop = cas(t, args)
	require.Eventually(t, quiet, patience, 100*time.Millisecond)
	require.Contains(t, stop(), "told again")
	require.True(t, maps.EqualFunc(first, rows(), func(a, b fields) bool { return fmt.Sprint(a) == fmt.Sprint(b) }), "nothing has changed")
}
