//go:build !linux

package postgres

import (
	"net"
	"time"
)

// boundUnacknowledged leaves it to the system.
func boundUnacknowledged(*net.TCPConn, time.Duration) {}
