package cmd_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/storetest"
)

// Behind a pooler in transaction mode, whose few sessions projectors, rebuilds and verify share,
// everything is as it is on sessions of one's own. It catches statements that are kept prepared
// (42P05), and a rebuild lock that belongs to a session: the second rebuild then finds another
// one running, or both run.
func TestBehindAPoolerEverythingIsAsWithoutOne(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.database = postgrestest.Pooler(t, s.database, false)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 20, Unknown: 0.03, BadDetail: 0.05, BadAddress: 0.05})
	s.run(t)
	s.project(t)
	events := shuffled(chance, histories)
	s.raise(t, events[:len(events)/2]...)
	tally, err := s.rebuild(t)
	require.NoError(t, err)
	require.Empty(t, tally.Failed)
	s.raise(t, events[len(events)/2:]...)
	s.settle(t)
	s.requireTwin(t)
	for range 3 {
		tally, err = s.rebuild(t)
		require.NoError(t, err)
		require.Zero(t, tally.Changed)
	}
	verify := s.verifier(t)
	require.Zero(t, verify(false).Damaged)
	s.exec(t, "update delius.contact set description = 'Damaged'")
	require.NotZero(t, verify(true).Damaged)
	require.Zero(t, verify(false).Damaged)
}

// rebuild rebuilds everyone as the program does, on connections of its own.
func (s *system) rebuild(t *testing.T) (projector.Tally, error) {
	t.Helper()
	pool, err := projection.Delius(s.database).Connect(ctx, 2)
	require.NoError(t, err)
	defer pool.Close()
	db, err := postgres.New(ctx, pool, postgres.Config{})
	require.NoError(t, err)
	log := s.connect(t, "rebuild")
	defer func() { _ = log.Close() }()
	p, err := projector.New(projection.NewLog(log), db.Ports(), projector.Config{Logger: s.said.logger("rebuild")})
	require.NoError(t, err)
	return p.Rebuild(ctx, projector.Rebuild{By: "test"})
}
