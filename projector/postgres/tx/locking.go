package tx

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// hasTransactionTimeout is the first version of PostgreSQL that bounds a transaction by itself.
const hasTransactionTimeout = 17

// locking are the settings of a transaction that locks rows of Delius, on a server of a version,
// and how long a living client may take for it.
//
// However we come to a stop, the server ends the transaction: a process that is stopped or cut
// off does nothing any more, and a backend that cannot get rid of its answer heeds none of its
// own limits, but only that of its socket (tcp_user_timeout). Servers that do not know
// transaction_timeout bound a statement and the time between two, so the client leaves them a
// third: one that stops between two statements is out within Locks all the same.
func (l *Limits) locking(version int) (settings string, client time.Duration) {
	statement, idle, client := l.Locks, l.Locks, l.Locks
	transaction := fmt.Sprintf("set local transaction_timeout = %d; ", l.Locks.Milliseconds())
	if version < hasTransactionTimeout {
		statement, idle, client = l.Locks/3, l.Locks/3, l.Locks-l.Locks/3
		transaction = ""
	}
	return transaction + fmt.Sprintf("set local tcp_user_timeout = %d; ", (l.Locks-l.Locks/3).Milliseconds()) + l.settings(statement, idle), client
}

// versionOf is the major version of a connection's server, 0 if it does not say.
func versionOf(conn *pgxpool.Conn) int {
	text := conn.Conn().PgConn().ParameterStatus("server_version")
	digits := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(text)
	}
	version, _ := strconv.Atoi(text[:digits]) // an odd one is an old one
	return version
}
