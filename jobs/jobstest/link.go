package jobstest

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

var errCut = errors.New("jobstest: connection refused: the network is cut")

// link is one process's way to Redis, which can be cut.
type link struct {
	m *miniredis.Miniredis

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

func newLink(m *miniredis.Miniredis) *link {
	return &link{m: m, conns: make(map[net.Conn]struct{})}
}

func (l *link) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		// A literal address: a name would be looked up, outside the bubble.
		Addr:   "127.0.0.1:6379",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return l.dial() },
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
		Protocol: 2,
	})
}

func (l *link) dial() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errCut
	}
	c, err := l.m.Dial()
	if err != nil {
		return nil, err
	}
	lc := &linkConn{Conn: c, l: l}
	l.conns[lc] = struct{}{}
	return lc, nil
}

// set cuts the link, closing what is open, or mends it.
func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if !cut {
		return
	}
	for c := range l.conns {
		_ = c.(*linkConn).Conn.Close() //nolint:forcetypeassert // the only type stored
	}
	clear(l.conns)
}

type linkConn struct {
	net.Conn
	l *link
}

func (c *linkConn) Close() error {
	c.l.mu.Lock()
	delete(c.l.conns, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}
