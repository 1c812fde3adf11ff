package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/ingest/casapi"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("os/signal.loop"), // runs for ever once a signal was asked for
		goleak.IgnoreAnyFunction("os/signal.signal_recv"))
}

func TestOnceProjectsEverythingWithoutDifferences(t *testing.T) {
	t.Parallel()
	var out, errs output
	code := run(t.Context(), []string{"--once", "--people", "20", "--rate", "0", "--seed", "1"}, &out, &errs)
	require.Equal(t, service.ExitOK, code, "%s%s", out.String(), errs.String())
	require.Contains(t, out.String(), " 0 differences")
	require.Empty(t, errs.String())
	requireGone(t, out.String())
}

// Catches variables that are not all that the commands need, or that lead nowhere; addresses that do
// not fit 80 columns; and a report that says something else of deleted rows than what was counted.
func TestTheSandboxSaysWhatOtherCommandsNeed(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	c := runCommand{Once: true, People: 20, Seed: &seed, Projectors: 1, HTTPAddress: "127.0.0.1:0", Console: "127.0.0.1:0"}
	var exports string
	var live, deleted [2]int
	c.meddle = func(ctx context.Context, s *system) error {
		for _, row := range append(s.addresses(), drawing(snapshot{}, 0, nil)...) {
			row = strings.Replace(row, s.dir, "/tmp/casdelius-sandbox-1234567890", 1)
			require.Less(t, len(row), 80, row)
		}
		require.Less(t, len(append(s.addresses(), drawing(snapshot{}, 0, nil)...))+warningsShown, 24)
		text, err := os.ReadFile(s.environment())
		require.NoError(t, err)
		exports = string(text)

		config := postgrestest.AsRole(s.database)
		require.Contains(t, exports, "export DELIUS_DATABASE_URL='"+config+"'\n")
		conn, err := pgx.Connect(ctx, config)
		require.NoError(t, err)
		require.NoError(t, conn.Close(ctx))
		client, err := casapi.New(casapi.Config{
			BaseURLs: []string{variable(t, exports, "MESSAGING_CONSUMER_DETAIL_URLS")}, TokenURL: variable(t, exports, "OAUTH2_TOKEN_URI"),
			ClientID: variable(t, exports, "OAUTH2_CLIENT_ID"), ClientSecret: variable(t, exports, "OAUTH2_CLIENT_SECRET"),
		})
		require.NoError(t, err)
		defer client.Close()
		_, err = s.delius.Pool.Exec(ctx, "update delius.contact set soft_deleted = 1 where contact_id = (select min(contact_id) from delius.contact where soft_deleted = 0)")
		require.NoError(t, err)
		all, err := s.delius.Contacts(ctx)
		require.NoError(t, err)
		for i := range all {
			if all[i].SoftDeleted {
				deleted[0]++
			}
		}
		return s.delius.Pool.QueryRow(ctx, `
			select (select count(*) from delius.contact where soft_deleted = 0), (select count(*) from delius.offender_address where soft_deleted = 0),
				(select count(*) from delius.offender_address where soft_deleted <> 0)`).Scan(&live[0], &live[1], &deleted[1])
	}
	var out, errs output
	require.ErrorIs(t, c.Run(t.Context(), terminal{command.NewOutput(&out), command.NewOutput(&errs)}), errDiffers, "one was deleted in the end")
	for _, name := range []string{
		"DELIUS_DATABASE_URL", "NATS_URL", "NATS_INBOX_PREFIX", "NATS_MONITOR_URL", "STREAM_REPLICAS", "MESSAGING_CONSUMER_DETAIL_URLS",
		"OAUTH2_TOKEN_URI", "OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_SQS",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	} {
		require.NotEmpty(t, variable(t, exports, name))
	}
	require.Contains(t, out.String(), exports)
	require.Contains(t, out.String(), "go build -o bin/ ./cmd/projector ./cmd/ingest")
	require.Contains(t, out.String(), fmt.Sprintf("compared with the reference: %d contacts, %d addresses", live[0]+deleted[0], live[1]+deleted[1]))
	require.Contains(t, out.String(), fmt.Sprintf("with the deleted ones, %s and %s, which the counts of a run leave out", inspect.Count(deleted[0], "contact"), inspect.Count(deleted[1], "address")))
}

// variable is the value of one that is exported.
func variable(t *testing.T, exports, name string) string {
	t.Helper()
	_, value, found := strings.Cut(exports, "export "+name+"='")
	require.True(t, found, name)
	value, _, _ = strings.Cut(value, "'\n")
	return value
}

func TestADamagedRowIsFound(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	c := runCommand{Once: true, People: 8, Seed: &seed, Projectors: 1, HTTPAddress: "127.0.0.1:0", Console: "127.0.0.1:0"}
	c.meddle = func(ctx context.Context, s *system) error {
		_, err := s.delius.Pool.Exec(ctx, `
			update delius.contact set notes = 'damaged'
			where contact_id = (select min(contact_id) from delius.contact)`)
		return err
	}
	var out, errs output
	require.ErrorIs(t, c.Run(t.Context(), terminal{command.NewOutput(&out), command.NewOutput(&errs)}), errDiffers)
	require.Contains(t, out.String(), ": 1 differences\n")
	require.Contains(t, out.String(), "    + Notes: damaged\n")
	require.EqualValues(t, service.ExitChanges, errDiffers)
}

// The sandbox holds the notices against the rows' history. It catches a comparison that compares
// nothing.
func TestANoticeOfNothingIsFound(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	c := runCommand{Once: true, People: 8, Seed: &seed, Projectors: 1, HTTPAddress: "127.0.0.1:0", Console: "127.0.0.1:0"}
	c.meddle = func(ctx context.Context, s *system) error {
		_, err := s.delius.Pool.Exec(ctx, `
			delete from recorder.address_change where number = (select min(number) from recorder.address_change)`)
		return err
	}
	var out, errs output
	require.ErrorIs(t, c.Run(t.Context(), terminal{command.NewOutput(&out), command.NewOutput(&errs)}), errDiffers)
	require.Contains(t, out.String(), "  notices of ")
}

func TestAnInterruptEndsTheLivePictureInOrder(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := output{on: "To look inside", then: interrupt}
	var errs output
	require.Equal(t, service.ExitOK, run(ctx, []string{"--people", "5", "--rate", "1"}, &out, &errs), errs.String())
	require.Empty(t, errs.String())
	requireGone(t, out.String())
}

func TestAnInterruptKeepsOnceFromItsVerdict(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := output{on: "To look inside", then: interrupt}
	var errs output
	require.Equal(t, service.ExitInterrupted, run(ctx, []string{"--once", "--people", "5", "--rate", "1"}, &out, &errs))
	require.Equal(t, "sandbox: interrupted; the same seed tells the same story from its beginning\n", errs.String())
}

func TestWrongUsageIsAnError(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--people", "none"},
		{"--people", "0"},
		{"--projectors", "0"},
		{"--rate", "-1"},
		{"unknown"},
		{"delius", "--nothing"},
		{"--people", ""},
		{"--rate", ""},
		{"--rate", "NaN"},
		{"--rate", "+Inf"},
		{"--seed", " "},
		{"--seed=-1"},
		{"--dir", ""},
		{"--http-address", " "},
		{"delius"},
		{"delius", "--database-url", ""},
	} {
		var out, errs output
		require.Equal(t, service.ExitError, run(t.Context(), args, &out, &errs), args)
		require.NotEmpty(t, errs.String())
	}
}

func TestDeliusIsMadeOnce(t *testing.T) {
	t.Parallel()
	cluster, err := postgrestest.Run(t.Context(), postgrestest.Options{Memory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	args := []string{"delius", "--database-url", cluster.URL("postgres")}

	var out, errs output
	require.Equal(t, service.ExitOK, run(t.Context(), args, &out, &errs), errs.String())
	require.Contains(t, out.String(), "is in database postgres now")
	conn, err := pgx.Connect(t.Context(), cluster.URL("postgres"))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is left to be written
	_, err = conn.Exec(t.Context(), "insert into delius.offender (crn) values ('A123456')")
	require.NoError(t, err)

	out = output{}
	require.Equal(t, service.ExitOK, run(t.Context(), args, &out, &errs), errs.String())
	require.Contains(t, out.String(), "was in database postgres already")
	var people, providers int
	require.NoError(t, conn.QueryRow(t.Context(),
		"select (select count(*) from delius.offender), (select count(*) from delius.probation_area)").Scan(&people, &providers))
	require.Equal(t, 1, people)
	require.Equal(t, 12, providers)
}

func TestDeliusNeverShowsAPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://me:secret@127.0.0.1:1/db?sslmode=disable", "postgres://me:secret@[::/db"} {
		var out, errs output
		require.Equal(t, service.ExitError, run(t.Context(), []string{"delius", "--database-url", url}, &out, &errs))
		require.NotContains(t, out.String()+errs.String(), "secret")
	}
}

func TestAFolderIsTakenOnlyEmpty(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	require.NoError(t, useFolder(dir))
	require.NoError(t, useFolder(dir), "it is still empty")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sandbox.log"), nil, 0o600))
	require.ErrorContains(t, useFolder(dir), "is not empty")
	require.Error(t, useFolder(filepath.Join(dir, "sandbox.log")))
}

var logPath = regexp.MustCompile(`the log of every part: (\S+)`)

// requireGone demands that the temporary folder of a run is no more.
func requireGone(t *testing.T, out string) {
	t.Helper()
	found := logPath.FindStringSubmatch(out)
	require.NotNil(t, found, out)
	require.NoDirExists(t, filepath.Dir(found[1]))
}

// output collects what a program writes, and may do something when a text comes.
type output struct {
	on   string
	then func()

	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.then != nil && strings.Contains(string(p), o.on) {
		o.then()
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
