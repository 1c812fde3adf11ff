package tx

import "time"

// Locking is what a transaction that locks rows begins with, and how long a client that is
// alive may take.
func (l *Limits) Locking(version int) (settings string, client time.Duration) {
	return l.locking(version)
}
