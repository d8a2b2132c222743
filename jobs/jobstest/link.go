package jobstest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

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
	once  bool // it was cut at some time
	conns map[*linkConn]struct{}
}

func newLink(m *miniredis.Miniredis) *link {
	return &link{m: m, conns: make(map[*linkConn]struct{})}
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
		// A command that waits for a connection does so with a timer from a pool
		// that all bubbles share, which ends the test.
		PoolSize: 1000,
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
	lc := newLinkConn(l, c)
	l.conns[lc] = struct{}{}
	return lc, nil
}

// set cuts the link, closing what is open, or mends it.
func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.once = cut, l.once || cut
	if !cut {
		return
	}
	for c := range l.conns {
		c.sever()
	}
	clear(l.conns)
}

// mark notes trouble, after which go-redis' goroutines linger.
func (l *link) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.once = true
}

// linkConn buffers what is written: a net.Pipe does not, and a pipeline whose
// replies come while it is still being written would block both ends.
type linkConn struct {
	net.Conn
	l     *link
	mu    sync.Mutex
	out   []byte
	more  chan struct{} // something to write
	close sync.Once
	shut  chan struct{}
}

func newLinkConn(l *link, c net.Conn) *linkConn {
	lc := &linkConn{Conn: c, l: l, more: make(chan struct{}, 1), shut: make(chan struct{})}
	go lc.pump()
	return lc
}

func (c *linkConn) Write(b []byte) (int, error) {
	select {
	case <-c.shut:
		return 0, net.ErrClosed
	default:
	}
	c.mu.Lock()
	c.out = append(c.out, b...)
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (c *linkConn) pump() {
	for {
		select {
		case <-c.shut:
			return
		case <-c.more:
		}
		c.mu.Lock()
		b := c.out
		c.out = nil
		c.mu.Unlock()
		if _, err := c.Conn.Write(b); err != nil {
			return
		}
	}
}

// SetDeadline bounds reads only: writes are buffered.
func (c *linkConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes are buffered.
func (c *linkConn) SetWriteDeadline(time.Time) error { return nil }

func (c *linkConn) sever() {
	c.close.Do(func() { close(c.shut) })
	_ = c.Conn.Close()
}

func (c *linkConn) Close() error {
	c.l.mu.Lock()
	delete(c.l.conns, c)
	c.l.mu.Unlock()
	c.sever()
	return nil
}

func (l *link) wasCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.once
}
