package projector_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres"
)

// as runs a statement as a role, in a transaction that is rolled back.
func (r *rig) as(t require.TestingT, role, statement string, args ...any) error {
	transaction, err := r.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = transaction.Rollback(ctx) }()
	_, err = transaction.Exec(ctx, "set local role "+role)
	require.NoError(t, err)
	_, err = transaction.Exec(ctx, statement, args...)
	return err
}

// The broken variants: a role that reads may write as well, or one that asks may say that a
// request is done, or read what it wrote.
func TestARoleOfTheConsoleMayDoWhatItIsForAndNothingElse(t *testing.T) {
	t.Parallel()
	r := populated(t)
	role := func(kind string, grants func(role string) []string) string {
		name := fmt.Sprintf("%s_%x", kind, [16]byte(uuid.New()))
		r.exec(t, "create role "+name)
		t.Cleanup(func() {
			r.exec(t, "drop owned by "+name)
			r.exec(t, "drop role "+name)
		})
		for _, grant := range grants(name) {
			r.exec(t, grant)
		}
		return name
	}
	reader, writer := role("reader", postgres.ConsoleGrants), role("writer", postgres.ConsoleWriterGrants)
	ask := "insert into projection.request (id, kind, who, why) values (gen_random_uuid(), 'pause', 'jane.smith', '')"
	look := "insert into projection.audit (who, what, crn) values ('jane.smith', 'view', 'A000001')"
	for _, statement := range []string{
		"select * from projection.figure", "select * from projection.audit", "select * from projection.request", "select * from projection.event",
		"select * from projection.verified_finding", "select * from delius.contact", "select current_restriction from delius.offender",
	} {
		require.NoError(t, r.as(t, reader, statement), statement)
		require.ErrorContains(t, r.as(t, writer, statement), "permission denied", statement)
	}
	require.NoError(t, r.as(t, writer, ask))
	require.NoError(t, r.as(t, writer, look))
	for _, statement := range []string{
		ask, look, "update delius.contact set notes = ''", "delete from projection.parked", "insert into projection.due (referral) values (gen_random_uuid())",
		"select from delius.offender for update",
	} {
		require.ErrorContains(t, r.as(t, reader, statement), "permission denied", statement)
	}
	for _, statement := range []string{
		"insert into projection.request (id, kind, who, why, state) values (gen_random_uuid(), 'pause', 'jane.smith', '', 'done')",
		"insert into projection.audit (who, what, at) values ('jane.smith', 'view', '2020-01-01')",
		"update projection.request set state = 'done'", "delete from projection.request", "insert into projection.parked default values",
		"update delius.contact set notes = ''",
	} {
		require.ErrorContains(t, r.as(t, writer, statement), "permission denied", statement)
	}
}
