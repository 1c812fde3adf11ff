package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

func TestPlanShowsEveryChangeAndExits2UntilARebuildHasMadeThem(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	f.exec("delete from delius.contact")
	code, stdout, stderr := f.projector("plan")
	require.Equal(t, 2, code, stderr)
	require.Contains(t, stdout, "X000001\n  insert-contact urn:hmpps:cas3:")
	require.Contains(t, stdout, "    notes: nothing stands there yet\n      + Arrival date: 08/03/2024\n")
	require.Contains(t, stdout, "      by accommodation.cas3.person.arrived ")
	require.Contains(t, stdout, "1 person checked, 1 with changes: ")
	require.Empty(t, f.contacts(), "a plan writes nothing")

	code, same, _ := f.projector("rebuild", "--dry-run")
	require.Equal(t, 2, code)
	require.Equal(t, stdout, same)

	code, stdout, _ = f.projector("plan", "--json", "--crn", "x000001")
	require.Equal(t, 2, code)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var first, last map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	require.Equal(t, "insert-contact", first["what"])
	require.Equal(t, "X000001", first["crn"])
	require.Equal(t, "total", last["what"])
	require.InDelta(t, len(lines)-1, last["fields"], 0)

	code, stdout, stderr = f.projector("rebuild")
	require.Zero(t, code, stderr)
	require.Equal(t, "1 person checked, 1 changed: 2 rows written. 0 conflicts, 0 adopted rows that differ, 0 parked.\n", stdout)
	require.Len(t, f.contacts(), 2)
	code, stdout, _ = f.projector("plan")
	require.Zero(t, code)
	require.Equal(t, "1 person checked, 0 with changes: 0 fields of 0 rows. 0 conflicts, 0 adopted rows that differ, 0 parked.\n", stdout)
}

func TestPlanShowsWhatAdoptedRowsSayOtherwise(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	f.exec("update delius.contact set description = 'by hand', row_version = row_version + 1, last_updated_datetime = now()")
	f.exec("delete from projection.contact")
	code, stdout, stderr := f.projector("plan")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "  adopted-differs urn:hmpps:cas3:person-arrived:")
	require.Contains(t, stdout, "    description: the adopted row says otherwise than its events: it stands as a person's\n      - by hand\n")
	require.Contains(t, stdout, "      by accommodation.cas3.person.arrived ")
	code, stdout, _ = f.projector("plan", "--json")
	require.Zero(t, code)
	var first map[string]any
	require.NoError(t, json.Unmarshal([]byte(strings.Split(stdout, "\n")[0]), &first))
	require.Equal(t, []any{"adopted-differs", "description", "by hand"}, []any{first["what"], first["field"], first["from"]})
}

func TestAContactThatWasDeletedAndLostIsExplained(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	f.exec("update delius.contact set soft_deleted = 1, row_version = row_version + 1, last_updated_datetime = now()")
	code, stdout, stderr := f.projector("rebuild")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, " 0 rows written.")
	f.exec("delete from delius.contact")
	code, _, stderr = f.projector("plan")
	require.Zero(t, code, stderr)
	code, stdout, stderr = f.projector("history", "X000001", "--explain", "urn:hmpps:cas3:person-arrived:"+referral(1).String())
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, ": no contact stands: a person had deleted it; its events said\n")
}

func (w *world) contacts() []postgrestest.Contact {
	w.t.Helper()
	all, err := w.delius.Contacts(ctx)
	require.NoError(w.t, err)
	return all
}

func TestRebuildAndPlanRefuseWhatIsNoPersonOrReferral(t *testing.T) {
	t.Parallel()
	f := fill(t)
	for _, c := range []struct{ args, says string }{
		{"plan --crn 123", `--crn: "123" is no CRN: want a letter and six digits`},
		{"rebuild --referral abc", `--referral "abc"`},
		{"rebuild --rate=-1", "--rate -1: want events a second"},
		{"rebuild --workers 0", "--workers 0: want 1 or more"},
		{"rebuild --crn X000001", "no event in the stream names X000001"},
	} {
		code, _, stderr := f.projector(strings.Fields(c.args)...)
		require.Equal(t, 1, code, c.args)
		require.Contains(t, stderr, c.says)
	}
	for _, command := range []string{"plan", "rebuild"} {
		code, stdout, _ := tool(t, command, "--help")
		require.Zero(t, code)
		require.Contains(t, stdout, "Examples:")
	}
}

func TestALimitedRebuildSaysThatOneWorkerDoesIt(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	code, _, stderr := f.projector("rebuild", "--rate", "1000", "--workers", "4")
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "--rate: one worker reconciles, not the 4 of --workers")
	code, _, stderr = f.projector("rebuild", "--rate", "1000")
	require.Zero(t, code, stderr)
	require.NotContains(t, stderr, "--workers")
}

func TestARebuildThatIsStoppedOrKilledGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal syscall.Signal
		code   int
		says   string
	}{
		{syscall.SIGINT, 130, "people are done. `projector rebuild` goes on from here; with --restart it begins anew."},
		{syscall.SIGKILL, -1, ""},
	} {
		t.Run(c.signal.String(), func(t *testing.T) {
			t.Parallel()
			f := unfilled(t, 60)
			self, err := os.Executable()
			require.NoError(t, err)
			var stderr bytes.Buffer
			cmd := exec.Command(self, "rebuild", "--rate", "60")
			cmd.Env = append(os.Environ(), asProgram+"=1", "DELIUS_DATABASE_URL="+f.delius.URL, "NATS_URL="+f.nats)
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			require.Eventually(t, func() bool {
				people := 0
				err := f.delius.Pool.QueryRow(ctx, "select people from projection.rebuild").Scan(&people)
				return err == nil && people > 0
			}, patience, 10*time.Millisecond)
			code, went, says := f.projector("rebuild")
			require.Equal(t, 1, code)
			require.Contains(t, says, "another rebuild is running: process ")
			require.NoError(t, cmd.Process.Signal(c.signal))
			_ = cmd.Wait() // the exit code says how it ended
			require.Equal(t, c.code, cmd.ProcessState.ExitCode())
			require.Contains(t, stderr.String(), c.says)

			require.Eventually(t, func() bool { // the server takes a moment to see that the process is gone
				code, went, says = f.projector("rebuild")
				return code == 0
			}, patience, 10*time.Millisecond)
			require.Contains(t, says, "going on with the rebuild that began at ")
			require.Contains(t, went, "60 people checked since the rebuild began at ")
			code, stdout, _ := f.projector("rebuild")
			require.Zero(t, code)
			require.Contains(t, stdout, "60 people checked, 0 changed: 0 rows written.")
		})
	}
}

// unfilled is a world whose stream has the events of people, but whose inbox is empty.
func unfilled(t *testing.T, people int) *filled {
	t.Helper()
	w, nats := setup(t), natstest.Start(t, natstest.Options{Lazy: true})
	log, err := jetstream.Connect(ctx, jetstream.Config{URL: nats.URL(), Replicas: 1}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	require.NoError(t, log.Ensure(ctx))
	for h := range storetest.Generate(storetest.Options{Seed: 3, People: people}) {
		if h.Person.CRN != "X000001" && h.Person.CRN != "X000002" {
			require.NoError(t, w.delius.AddPeople(ctx, []postgrestest.Person{{
				CRN: h.Person.CRN, NOMS: h.Person.NOMS, Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"},
			}}))
		}
		for i := range h.Events {
			_, err := log.Append(ctx, &h.Events[i].Event)
			require.NoError(t, err)
		}
	}
	return &filled{w, nats.URL()}
}
