package cmd_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// account is one of a NATS server in operator mode. Whoever has a user that it has signed may
// connect.
type account struct {
	key    nkeys.KeyPair
	public string
	token  string // that the operator has signed
}

// unlimited is an account's use of JetStream; an account without limits of its own may not use it.
var unlimited = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}

func newAccount(t *testing.T, operator nkeys.KeyPair, limits jwt.JetStreamLimits) *account {
	t.Helper()
	key, err := nkeys.CreateAccount()
	require.NoError(t, err)
	a := &account{key: key, public: public(t, key)}
	claims := jwt.NewAccountClaims(a.public)
	claims.Limits.JetStreamLimits = limits
	a.token, err = claims.Encode(operator)
	require.NoError(t, err)
	return a
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	text, err := key.PublicKey()
	require.NoError(t, err)
	return text
}

// credentials makes a user of the account, and gives the file with what it connects by.
func (a *account) credentials(t *testing.T) string {
	t.Helper()
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	token, err := jwt.NewUserClaims(public(t, key)).Encode(a.key)
	require.NoError(t, err)
	seed, err := key.Seed()
	require.NoError(t, err)
	text, err := jwt.FormatUserConfig(token, seed)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "user.creds")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

// startOperated starts a server in operator mode, which knows one account but the system's own.
func startOperated(t *testing.T) (*natstest.Server, *account) {
	t.Helper()
	operator, err := nkeys.CreateOperator()
	require.NoError(t, err)
	system, ours := newAccount(t, operator, jwt.JetStreamLimits{}), newAccount(t, operator, unlimited)
	claims := jwt.NewOperatorClaims(public(t, operator))
	claims.SystemAccount = system.public
	token, err := claims.Encode(operator)
	require.NoError(t, err)
	return natstest.Start(t, natstest.Options{Roles: fmt.Sprintf(
		"operator: %s\nresolver: MEMORY\nresolver_preload: {%s: %s, %s: %s}\n", token, system.public, system.token, ours.public, ours.token,
	)}), ours
}

// Catches a credentials file that is not used, and an error that does not name it and the server.
func TestBothServicesConnectByACredentialsFileAndAreRefusedWithoutOneOrByAnother(t *testing.T) {
	t.Parallel()
	server, ours := startOperated(t)
	operator, err := nkeys.CreateOperator()
	require.NoError(t, err)
	others := newAccount(t, operator, unlimited)
	s := setup(t)
	s.admit(t, someone)
	require.NoError(t, s.log.Close())
	s.log, err = jetstream.Connect(ctx, jetstream.Config{URL: server.URL(), Creds: ours.credentials(t), Replicas: 1}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, s.log.Ensure(ctx))
	p := s.build(t)
	p.natsAs = func(string) string { return server.URL() }
	p.environment = append(p.environment, "NATS_MONITOR_URL="+server.MonitorURL())
	environment := p.environment
	for _, role := range []string{natstest.Ingest, natstest.Projector} {
		for _, file := range []string{"", others.credentials(t)} {
			p.environment = append(environment, "NATS_CREDS="+file)
			said, err := p.command(role, role, "run").CombinedOutput()
			require.Error(t, err)
			if file == "" {
				file = "is not set"
			}
			require.Contains(t, string(said), "connect to NATS at "+server.URL()+" (NATS_URL, NATS_CREDS "+file+")", role)
		}
	}
	p.environment = append(environment, "NATS_CREDS="+ours.credentials(t))
	ingest, projector := p.start(t, natstest.Ingest, "run"), p.start(t, natstest.Projector, "run")
	s.someonesArrival(t)
	s.requireTwin(t)
	require.Len(t, s.rows(t).contacts, 1)
	ingest.stop(t)
	projector.stop(t)
}
