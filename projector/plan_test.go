package projector_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/storetest"
)

func TestThePlanIsExactlyWhatApplyingWritesAndTheNextOneIsEmpty(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	recordWrites(t, rig.delius)
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		events := shuffled(r, histories)
		known := rapid.IntRange(0, len(events)).Draw(r, "known")
		rig.put(r, events[:known]...)
		rig.look(r, histories)
		for range rapid.IntRange(0, 3).Draw(r, "edits") {
			rig.edit(r, map[string]string{})
		}
		rig.forget(r, rapid.SampledFrom([]string{"nothing", "the inbox", "the ledger", "contacts", "addresses"}).Draw(r, "lost"))
		for _, e := range events[known:] {
			rig.stream.add(e)
		}
		before := rig.everything(r)
		planned := rig.plan(r)
		require.Equal(r, before, rig.everything(r), "a plan writes nothing")

		_, err := rig.delius.Pool.Exec(ctx, "delete from written")
		require.NoError(r, err)
		tally, err := rig.on(r, rig.db).Rebuild(ctx, projector.Rebuild{})
		require.NoError(r, err)
		require.Equal(r, planned, rig.written(r))
		require.Equal(r, len(planned), tally.Rows)
		require.Empty(r, rig.plan(r))
	})
}

// forget loses what a database that was restored, or filled by another service, lacks.
func (r *rig) forget(t require.TestingT, what string) {
	for _, query := range map[string][]string{
		"the ledger": {"delete from projection.contact", "delete from projection.address", "delete from projection.address_term"},
		"contacts":   {"delete from delius.contact where soft_deleted = 0"},
		"addresses":  {"delete from delius.offender_address where soft_deleted = 0"},
	}[what] {
		_, err := r.delius.Pool.Exec(ctx, query)
		require.NoError(t, err)
	}
	if what == "the inbox" {
		r.emptyInbox(t)
	}
}

// plan lists the rows that a dry run of everyone would write, with their fields.
func (r *rig) plan(t require.TestingT) []string {
	var all []string
	_, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{DryRun: true}, Planned: func(d projector.Decision) error {
		for _, change := range d.Outcome.Changes {
			var fields []string
			for _, f := range change.Why() {
				if f.From == f.To || len(f.Events) == 0 { // told of in another goroutine than the test's
					return fmt.Errorf("%s of %T goes from %q to %q because of %v", f.Name, change, f.From, f.To, f.Events)
				}
				fields = append(fields, f.Name)
			}
			all = append(all, written(subjectOf(change), fields))
		}
		return nil
	}})
	require.NoError(t, err)
	slices.Sort(all)
	return all
}

func subjectOf(change delius.Change) string {
	switch c := change.(type) {
	case *delius.InsertContact:
		return "insert contact " + c.Row.URN
	case *delius.UpdateContact:
		return fmt.Sprint("update contact ", c.Row.ID)
	case *delius.InsertAddress:
		return fmt.Sprintf("insert address %s %s", c.Row.Start.Format("2006-01-02"), c.Row.Lines.Street)
	case *delius.UpdateAddress:
		return fmt.Sprint("update address ", c.Row.ID)
	}
	return "unknown"
}

func written(subject string, fields []string) string {
	slices.Sort(fields)
	return fmt.Sprint(subject, ": ", slices.Compact(fields))
}

// recordWrites makes triggers that record every row written to contacts and addresses.
func recordWrites(t *testing.T, db postgrestest.Database) {
	t.Helper()
	_, err := db.Pool.Exec(ctx, `
		create table public.written (before jsonb, after jsonb not null);
		create function record_write() returns trigger language plpgsql security definer as $$
		begin
			insert into public.written values (case when tg_op = 'UPDATE' then to_jsonb(old) end, to_jsonb(new));
			return null;
		end $$;
		create trigger record_write after insert or update on delius.contact for each row execute function record_write();
		create trigger record_write after insert or update on delius.offender_address for each row execute function record_write();`)
	require.NoError(t, err)
}

// columns are the columns behind each field.
var columns = map[string]string{
	"notes": "notes", "description": "description", "contact_date": "start", "contact_start_time": "start",
	"staff_id": "officer", "team_id": "officer", "probation_area_id": "officer", "soft_deleted": "deleted",
	"building_name": "lines", "street_name": "lines", "district": "lines", "town_city": "lines", "county": "lines", "postcode": "lines",
	"start_date": "start", "end_date": "status", "address_status_id": "status",
}

// written lists the rows that were written, with the fields that are another than before.
func (r *rig) written(t require.TestingT) []string {
	rows, err := r.delius.Pool.Query(ctx, "select coalesce(before, '{}'), after from written") //nolint:rowserrcheck // ForEachRow checks it
	require.NoError(t, err)
	var before, after map[string]any
	var all []string
	var texts [2]json.RawMessage
	_, err = pgx.ForEachRow(rows, []any{&texts[0], &texts[1]}, func() error {
		before, after = nil, nil
		require.NoError(t, json.Unmarshal(texts[0], &before))
		require.NoError(t, json.Unmarshal(texts[1], &after))
		subject, fields := "", []string{}
		for column, field := range columns {
			if len(before) == 0 && column == "soft_deleted" {
				continue
			}
			if !reflect.DeepEqual(before[column], after[column]) {
				fields = append(fields, field)
			}
		}
		switch {
		case after["external_reference"] != nil && len(before) == 0:
			subject = "insert contact " + after["external_reference"].(string)
		case after["external_reference"] != nil:
			subject = fmt.Sprintf("update contact %.0f", after["contact_id"])
		case len(before) == 0:
			street, _ := after["street_name"].(string)
			subject = fmt.Sprintf("insert address %s %s", after["start_date"], street)
		default:
			subject = fmt.Sprintf("update address %.0f", after["offender_address_id"])
		}
		all = append(all, written(subject, fields))
		return nil
	})
	require.NoError(t, err)
	slices.Sort(all)
	return all
}

// everything is every row but those of the inbox, which a plan may fill.
func (r *rig) everything(t require.TestingT) []string {
	var all []string
	for _, table := range []string{
		"projection.contact", "projection.address", "projection.address_term", "projection.conflict", "projection.parked",
		"projection.rebuild", "delius.contact", "delius.offender_address", "delius.audited_interaction",
	} {
		rows, err := r.delius.Pool.Query(ctx, "select '"+table+" ' || x::text from "+table+" x order by 1")
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		all = append(all, texts...)
	}
	return all
}
