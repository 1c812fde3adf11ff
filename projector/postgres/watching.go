package postgres

import (
	"cmp"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector/postgres/inbox"
	"casdelius/projector/postgres/tx"
)

// Watching is the inbox as one sees it who only looks, for so long at most: the server itself
// ends what takes longer, so that nothing piles up behind a table that is locked.
func Watching(pool *pgxpool.Pool, limit time.Duration) *inbox.Inbox {
	limit = cmp.Or(limit, 5*time.Second)
	return &inbox.Inbox{DB: &tx.DB{Pool: pool, Limits: tx.Limits{Lock: limit / 5, Statement: limit, Idle: limit}}}
}
