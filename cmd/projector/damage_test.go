package main

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// lossy is a stream with some events from which messages can be taken away, as a disk does, and
// a Delius in which they are applied.
func lossy(t *testing.T, events ...store.Event) (*filled, natsjs.Stream) {
	t.Helper()
	f := &filled{setup(t), natstest.Start(t).URL()}
	connection, err := nats.Connect(f.nats)
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	administrator, err := natsjs.New(connection)
	require.NoError(t, err)
	stream, err := administrator.CreateStream(ctx, natsjs.StreamConfig{Name: jetstream.EventsStream, Subjects: []string{store.Subjects}})
	require.NoError(t, err)
	log, err := jetstream.Connect(ctx, jetstream.Config{URL: f.nats, Replicas: 1}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	for i := range events {
		_, err := log.Append(ctx, &events[i])
		require.NoError(t, err)
	}
	code, _, stderr := f.projector("rebuild")
	require.Zero(t, code, stderr)
	return f, stream
}

// Catches a hole in the stream that verify passes over, whoever it concerned going on without it,
// and a loss that is accepted without being asked for.
func TestAMessageThatTheStreamHasLostIsDamageUntilTheLossIsAccepted(t *testing.T) {
	t.Parallel()
	f, stream := lossy(t, someEvents()...)
	require.NoError(t, stream.DeleteMsg(ctx, 2))
	code, stdout, _ := f.projector("verify")
	require.Equal(t, 2, code)
	require.Contains(t, stdout, "damaged  message 2, accommodation.cas3.person.arrived ")
	require.Contains(t, stdout, " is gone from the stream, X000001\n")
	require.Contains(t, stdout, "0 edited, 1 damaged.\nnext: restore the stream from its backup, or projector verify --repair --accept-loss 2\n")

	code, stdout, stderr := f.projector("verify", "--repair")
	require.Equal(t, 2, code, stdout)
	require.Contains(t, stdout+stderr, "restore the stream from its backup, or accept the loss with --accept-loss")
	code, stdout, stderr = f.projector("parked")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "message-gone")
	require.Contains(t, stdout, "X000001")

	for says, args := range map[string][]string{
		"--accept-loss needs --repair":                    {"verify", "--accept-loss", "2"},
		`"two" is neither a sequence nor a range such as`: {"verify", "--repair", "--accept-loss", "two"},
	} {
		code, _, stderr := f.projector(args...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, says)
	}
	code, stdout, _ = f.projector("verify", "--repair", "--accept-loss", "1")
	require.Equal(t, 2, code, "another message's loss: %s", stdout)
	require.Contains(t, stdout, "--accept-loss 1: nothing was accepted, as the stream has lost no message there\n")
	code, stdout, stderr = f.projector("verify", "--repair", "--accept-loss", "2")
	require.Zero(t, code, stdout+stderr)
	require.Regexp(t, `(?m)^repaired message 2, .*: its loss was accepted$`, stdout)
	require.NotContains(t, stdout, "nothing was accepted")
	code, stdout, stderr = f.projector("verify")
	require.Zero(t, code, stdout+stderr)
	require.Contains(t, stdout, "0 damaged.\n")
	code, stdout, stderr = f.projector("parked")
	require.Zero(t, code, stderr)
	require.NotContains(t, stdout, "message-gone")
}

// Catches commands that end at the first person who cannot be looked at, and those that say
// nothing of it.
func TestCommandsNameWhoCouldNotBeLookedAtAndDoTheRest(t *testing.T) {
	t.Parallel()
	other := raised(store.ReferralSubmitted, 20, "other", "2024-03-01T09:00:00Z", ``)
	other.CRN = "X000002"
	url, _ := stream(t, append(someEvents(), other))
	f := &filled{setup(t), url}
	code, _, stderr := f.projector("plan") // fills the inbox
	require.Equal(t, 2, code, stderr)
	f.exec("update projection.event set emitted = 'infinity' where sequence = 2")
	code, _, stderr = f.projector("plan")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "failing  referral "+referral(1).String()+": ")
	code, _, stderr = f.projector("rebuild")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "failing  referral "+referral(1).String()+": ")
	require.NotEmpty(t, f.contact("EARS"), "everyone else is rebuilt")

	code, stdout, stderr := f.projector("history", "X000001")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "failing  referral "+referral(1).String()+" since ")
	require.Contains(t, stdout, "unseen   referral "+referral(1).String()+": ")
	require.Contains(t, stderr, "2 referrals could not be looked at; what they say is left out")
	code, _, stderr = f.projector("verify")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "unseen   message 2: ")
	code, stdout, stderr = f.projector("parked")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "failing")
}

// Catches an older program that writes, a newer one that it cannot follow on purpose, and a reason
// that does not say how.
func TestAnOlderProgramWritesOnlyWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	f.exec("update projection.fold set version = version + 1")
	f.exec("update delius.contact set notes = 'Damaged'")
	code, _, stderr := f.projector("verify", "--repair")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "projector migrate --allow-older")
	require.Equal(t, "Damaged", f.contact("EARS").Notes)
	code, stdout, _ := f.projector("plan")
	require.NotEqual(t, 1, code, "a plan writes nothing: %s", stdout)

	code, stdout, stderr = f.projector("migrate", "--allow-older")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "the next program that writes sets it anew, an older one too\n")
	code, stdout, stderr = f.projector("verify", "--repair")
	require.Zero(t, code, stdout+stderr)
	require.NotEqual(t, "Damaged", f.contact("EARS").Notes)
}
