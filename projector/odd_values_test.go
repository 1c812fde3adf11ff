package projector_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// Whatever PostgreSQL can hold in a column of a row that others write is read, compared and
// left alone. It stops nobody.
func TestNoDateOrTimeOfARowStopsAnybody(t *testing.T) {
	t.Parallel()
	for table, columns := range map[string][]string{
		"delius.contact":          {"contact_date", "contact_start_time", "created_datetime", "last_updated_datetime"},
		"delius.offender_address": {"start_date", "end_date", "created_datetime", "last_updated_datetime"},
	} {
		for _, column := range columns {
			for _, value := range []string{"infinity", "-infinity", "0044-03-15 BC", "0001-01-01", "12024-01-01", "294276-12-31"} {
				t.Run(column+" "+value, func(t *testing.T) {
					t.Parallel()
					r := populated(t)
					r.put(t, moved(1, someone, 0), moved(2, another, 0))
					r.reconcile(t)
					_, err := r.delius.InsertAddress(ctx, postgrestest.Address{CRN: string(someone), Type: "A02", Status: "M", StreetName: "2 By Hand"})
					require.NoError(t, err)
					// A practitioner's statement, in rows of ours and in one that is not.
					r.exec(t, fmt.Sprintf("update %s set %s = '%s' where offender_id = (select offender_id from delius.offender where crn = $1)", table, column, value), someone)
					if column != "last_updated_datetime" {
						r.exec(t, fmt.Sprintf("update %s set last_updated_datetime = now() where offender_id = (select offender_id from delius.offender where crn = $1)", table), someone)
					}
					left := func() (n int) {
						require.NoError(t, r.delius.Pool.QueryRow(ctx, fmt.Sprintf("select count(*) from %s where %s = '%s'", table, column, value)).Scan(&n))
						return n
					}
					odd := left()
					require.NotZero(t, odd)

					again := []store.Event{arrival(1, "again", store.PersonArrivedUpdated, 30, someone), arrival(2, "again", store.PersonArrivedUpdated, 30, another)}
					r.put(t, again...)
					for _, rebuild := range []projector.Rebuild{{Selection: projector.Selection{DryRun: true}}, {}} {
						tally, err := r.on(t, r.db).Rebuild(ctx, rebuild)
						require.NoError(t, err)
						require.Empty(t, tally.Failed)
					}
					_, damaged, _ := r.verify(t, false)
					require.Empty(t, damaged)
					require.Empty(t, r.parked(t))
					tally, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{DryRun: true}})
					require.NoError(t, err)
					require.Zero(t, tally.Rows, "the second diff is empty")
					if column == "created_datetime" {
						require.Equal(t, odd, left(), "nobody has any reason to write that")
					}
				})
			}
		}
	}
}
