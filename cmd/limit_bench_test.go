package cmd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// limit writes every row that stands as live projection has left it once more: in sets, of as many
// events as a lane's share of a batch, each set a transaction, with nothing to read, to decide or
// to send. Rows that were changed are written once.
func (s *stage) limit(b *testing.B) figure {
	b.Helper()
	const workers, events = 2, 250
	for _, table := range written {
		s.exec(b, "drop table if exists "+copyOf(table))
		s.exec(b, "create unlogged table "+copyOf(table)+" as select * from "+table)
	}
	s.empty(b, written)
	sets := len(s.events)/events + 1
	began, used := time.Now(), s.used()
	var group errgroup.Group
	for worker := range workers {
		group.Go(func() error {
			for set := worker; set < sets; set += workers {
				if err := pgx.BeginFunc(ctx, s.admin, func(tx pgx.Tx) error { return writeSet(tx, set, sets) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, group.Wait())
	return figure{rate: float64(len(s.events)) / time.Since(began).Seconds(), cpu: (s.used() - used) / time.Duration(len(s.events))}
}

func copyOf(table string) string { return "public.copy_of_" + strings.ReplaceAll(table, ".", "_") }

// writeSet writes one of so many parts of every table: the rows of so many of its pages.
func writeSet(tx pgx.Tx, set, sets int) error {
	for _, table := range written {
		query := fmt.Sprintf(`
			insert into %[1]s select c.* from %[2]s c where c.ctid >= (select format('(%%s,0)', pages * $1 / $2)::tid from (select pg_relation_size('%[2]s') / 8192 + 1 as pages) p)
				and c.ctid < (select format('(%%s,0)', pages * ($1 + 1) / $2)::tid from (select pg_relation_size('%[2]s') / 8192 + 1 as pages) p)`, table, copyOf(table))
		if _, err := tx.Exec(ctx, query, int64(set), int64(sets)); err != nil {
			return err
		}
	}
	return nil
}
