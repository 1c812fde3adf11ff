package postgres

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged ends a connection where bytes stay without an acknowledgement for so
// long. Without it that takes a quarter of an hour.
func boundUnacknowledged(conn *net.TCPConn, limit time.Duration) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { // where it cannot be set, it takes longer
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
	})
}
