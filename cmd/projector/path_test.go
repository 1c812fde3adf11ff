package main

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// path is the network between a program and its database. It can be cut, so that nothing gets
// through and nobody is told, and can lead elsewhere.
type path struct {
	listener net.Listener
	carrying sync.WaitGroup

	mu     sync.Mutex
	target string // host and port; "" where nothing gets through
	lanes  []*lane
}

// lane is one connection.
type lane struct {
	mu   sync.Mutex
	cut  bool
	ends []net.Conn
}

// newPath makes a path to the server of a database, and the database's URL over it.
func newPath(t *testing.T, database string) (p *path, over string) {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	p = &path{target: u.Host}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.carrying.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.sever()
		p.carrying.Wait()
	})
	u.Host = p.listener.Addr().String()
	return p, u.String()
}

func (p *path) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		l := &lane{ends: []net.Conn{client}}
		p.mu.Lock()
		target := p.target
		p.lanes = append(p.lanes, l)
		p.mu.Unlock()
		if target == "" {
			continue
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l.ends = append(l.ends, server)
		p.carrying.Go(func() { l.carry(client, server) })
		p.carrying.Go(func() { l.carry(server, client) })
	}
}

// carry carries what one end says to the other.
func (l *lane) carry(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.Lock()
		cut := l.cut
		l.mu.Unlock()
		if cut { // what was on its way is lost, the end of the connection too
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			_ = to.Close()
			return
		}
	}
}

// lead makes new connections lead to another server, "" to none. Those that stand stay.
func (p *path) lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// cut lets nothing through any more, over old connections nor new ones.
func (p *path) cut() {
	p.lead("")
	p.each(func(l *lane) { l.cut = true })
}

// sever ends all connections.
func (p *path) sever() {
	p.each(func(l *lane) {
		for _, end := range l.ends {
			_ = end.Close()
		}
	})
}

func (p *path) each(do func(*lane)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		l.mu.Lock()
		do(l)
		l.mu.Unlock()
	}
}
