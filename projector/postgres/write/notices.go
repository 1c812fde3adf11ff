package write

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/propagation"

	"casdelius/projector/delius"
	"casdelius/projector/postgres/outbox"
)

// notice is an address row that is inserted or changed, of which others are to hear.
type notice struct {
	address  int64
	created  bool // inserted, or brought back from deletion
	inserted bool
	cause    string
}

// noteUpdate notes an address row that is changed.
func (w *writer) noteUpdate(c *delius.UpdateAddress) {
	w.notices = append(w.notices, notice{address: c.Row.ID, created: c.Was.Deleted && !c.Row.Deleted, cause: causeOf(c.Fields)})
}

// noteInserted notes the address rows that are inserted, once they have their numbers.
func (w *writer) noteInserted() {
	for i := range w.insertedAddresses {
		a := &w.insertedAddresses[i]
		w.notices = append(w.notices, notice{address: a.row.ID, created: true, inserted: true, cause: causeOf(a.fields)})
	}
}

// causeOf says why a row is written: which fields, for each reason.
func causeOf(fields []delius.Field) string {
	var reasons []string
	names := map[string][]string{}
	for i := range fields {
		if names[fields[i].Reason] == nil {
			reasons = append(reasons, fields[i].Reason)
		}
		names[fields[i].Reason] = append(names[fields[i].Reason], fields[i].Name)
	}
	for i, reason := range reasons {
		reasons[i] = strings.Join(names[reason], ", ") + ": " + reason
	}
	return strings.Join(reasons, "; ")
}

// sqlNotices keeps notices if the setting says so. What the row says is read from the row as
// it stands by then.
const sqlNotices = `
	insert into projection.outbox (offender_address_id, offender_id, crn, kind, status, occurred, cause, trace)
	select r.address, a.offender_id, o.crn, case when r.created then 'created' else 'updated' end, coalesce(s.code_description, ''), $4, r.cause, $5
	from unnest($1::bigint[], $2::boolean[], $3::text[]) with ordinality as r (address, created, cause, n)
	join delius.offender_address a on a.offender_address_id = r.address
	join delius.offender o on o.offender_id = a.offender_id
	left join delius.r_standard_reference_list s on s.standard_reference_list_id = a.address_status_id
	where exists (select from projection.notices where one and kept)
	order by r.n`

// queueNotices keeps a notice for each address row that was written, by the same transaction:
// inserted rows first, then by row number. The persons are locked, so that the numbers of
// one person's notices are in the order of the commits.
func (w *writer) queueNotices(ctx context.Context, b *pgx.Batch) {
	w.noteInserted()
	if len(w.notices) == 0 {
		return
	}
	slices.SortFunc(w.notices, func(a, b notice) int {
		switch {
		case a.inserted && !b.inserted:
			return -1
		case b.inserted && !a.inserted:
			return 1
		}
		return cmp.Compare(a.address, b.address)
	})
	var addresses []int64
	var created []bool
	var causes []string
	for _, n := range w.notices {
		addresses, created, causes = append(addresses, n.address), append(created, n.created), append(causes, n.cause)
	}
	// The lock comes in a statement of its own: the next one sees what the setting is under it.
	b.Queue(outbox.SharedLock)
	b.Queue(sqlNotices, addresses, created, causes, w.now, traceOf(ctx)).Exec(func(tag pgconn.CommandTag) error {
		w.kept = int(tag.RowsAffected())
		return nil
	})
}

// traceOf is the trace of a step as W3C's traceparent; "" without one.
func traceOf(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}
