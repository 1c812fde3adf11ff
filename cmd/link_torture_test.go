//go:build torture

package cmd_test

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// link is the way to a server. Its connections can be cut, and be stopped: then nothing gets
// through, and nobody is told.
type link struct {
	listener net.Listener
	server   string                        // host and port
	carry    func(client, server net.Conn) // until one of them ends
	carrying sync.WaitGroup

	mu      sync.Mutex
	ends    map[net.Conn]bool
	isCut   bool
	resumed chan struct{} // closed when it is no longer stopped; nil: it is not
}

// newLink makes a link to a server that ends with the test. carry is nil where all is carried.
func newLink(t *testing.T, server string, carry func(client, server net.Conn)) *link {
	t.Helper()
	l := &link{server: server, carry: carry, ends: map[net.Conn]bool{}}
	if carry == nil {
		l.carry = l.carryAll
	}
	var err error
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.carrying.Go(l.accept)
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.cut()
		l.resume()
		l.carrying.Wait()
	})
	return l
}

// address is the host and the port that lead to the server.
func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.carrying.Go(func() { l.connect(client) })
	}
}

func (l *link) connect(client net.Conn) {
	defer client.Close() //nolint:errcheck // it is over
	l.wait()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // it is over
	if l.add(client, server) {
		l.carry(client, server)
		l.remove(client, server)
	}
}

// add keeps the ends of a connection, unless it is cut.
func (l *link) add(ends ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, end := range ends {
		l.ends[end] = true
	}
	return !l.isCut
}

func (l *link) remove(ends ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, end := range ends {
		delete(l.ends, end)
	}
}

func (l *link) carryAll(client, server net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { l.pass(server, client) })
	both.Go(func() { l.pass(client, server) })
	both.Wait()
}

// pass carries what one end says to the other.
func (l *link) pass(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // it is over
	defer from.Close() //nolint:errcheck // it is over
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		l.wait()
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections, and new ones at once, until it is mended.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for end := range l.ends {
		_ = end.Close()
	}
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

// stop lets nothing through until it is resumed.
func (l *link) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resumed = make(chan struct{})
}

func (l *link) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resumed != nil {
		close(l.resumed)
		l.resumed = nil
	}
}

// wait waits for as long as it is stopped.
func (l *link) wait() {
	l.mu.Lock()
	resumed := l.resumed
	l.mu.Unlock()
	if resumed != nil {
		<-resumed
	}
}
