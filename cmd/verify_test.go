package cmd_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/verify"
	"casdelius/store/storetest"
)

func TestVerifyFindsNoDamageWhileEventsAndEditsComeIn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 20, Unknown: 0.03, BadDetail: 0.05, BadAddress: 0.05})
	s.run(t)
	verify := s.verifier(t)
	s.raise(t, shuffled(chance, histories)...)
	rounds := 0
	for ; rounds < 5 || s.unsettled(t) != ""; rounds++ {
		if contacts := s.rows(t).contacts; len(contacts) > 0 {
			c := contacts[chance.IntN(len(contacts))]
			require.NoError(t, s.delius.EditContact(ctx, c.ID, func(c *postgrestest.Contact) { c.Notes += "\nThe practitioner called." }))
		}
		require.Zero(t, verify(false).Damaged)
	}
	require.Zero(t, verify(false).Damaged)

	s.exec(t, "update delius.contact set description = 'Damaged'")
	s.exec(t, "delete from projection.event where random() < 0.3")
	damaged := verify(true)
	require.NotZero(t, damaged.Damaged)
	require.Zero(t, damaged.Left, "also while a projector takes its part of the repair")
	s.settle(t)
	require.Zero(t, verify(false).Damaged)
}

// verifier gives a function that verifies everything as the program does, on
// connections of its own.
func (s *system) verifier(t *testing.T) func(repair bool) verify.Verdict {
	t.Helper()
	pool, err := projection.Delius(s.database).Connect(ctx, 2)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	db, err := postgres.New(ctx, pool, postgres.Config{})
	require.NoError(t, err)
	log := s.connect(t, "verify")
	t.Cleanup(func() { _ = log.Close() })
	p, err := projector.New(projection.NewLog(log), db.Ports(), projector.Config{Logger: s.said.logger("verify")})
	require.NoError(t, err)
	return func(repair bool) verify.Verdict {
		verdict, err := db.Verifier(projection.NewLog(log), p, verify.Verification{Selection: projector.Selection{Repair: repair}, Found: func(f verify.Finding) error {
			if f.Severity == verify.Damaged && !repair {
				t.Logf("%+v", f)
			}
			return nil
		}}).Run(ctx)
		require.NoError(t, err)
		return verdict
	}
}

func (s *system) exec(t *testing.T, query string) {
	t.Helper()
	_, err := s.delius.Pool.Exec(ctx, query)
	require.NoError(t, err)
}
