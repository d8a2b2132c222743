package pushtest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is an in-memory Redis that works inside a testing/synctest bubble: its
// connections are pipes and its clock, which ages keys too, is the time
// package's. Its scripts run some 20 times slower than a real server's.
type Redis struct {
	// Server is for what clients cannot do: SetError, Dump, Restart.
	Server *miniredis.Miniredis
}

// NewRedis returns an empty Redis that ends with the test.
func NewRedis(t testing.TB) *Redis {
	t.Helper()
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	t.Cleanup(server.Close)
	return &Redis{Server: server}
}

// Client returns a new client that is closed with the test.
func (r *Redis) Client(t testing.TB) redis.UniversalClient {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr:     "127.0.0.1:6379", // never dialled; a name would be looked up
		Protocol: 2,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			conn, err := r.Server.Dial()
			if err != nil {
				return nil, err
			}
			return newBuffered(conn), nil
		},
		// A command that waits for a connection does so with a timer from a pool
		// that all bubbles share, which ends the test.
		PoolSize: 1000,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close the Redis client: %v", err)
		}
	})
	return client
}

// buffered is a pipe's end whose writes do not wait for the reader, as those
// of a socket do not: a client writes a whole pipeline before it reads, and
// the server answers a command before it reads the next.
type buffered struct {
	net.Conn
	wake chan struct{}

	mu     sync.Mutex
	out    bytes.Buffer
	err    error
	closed bool
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{Conn: conn, wake: make(chan struct{}, 1)}
	go b.flush()
	return b
}

// flush writes until the connection ends, on either side.
func (b *buffered) flush() {
	for range b.wake {
		b.mu.Lock()
		out := bytes.Clone(b.out.Bytes())
		b.out.Reset()
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return
		}
		if _, err := b.Conn.Write(out); err != nil {
			b.mu.Lock()
			b.err = err
			b.mu.Unlock()
			return
		}
	}
}

func (b *buffered) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Write fails with the error of an earlier write.
func (b *buffered) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, net.ErrClosed
	}
	if b.err != nil {
		return 0, b.err
	}
	b.poke()
	return b.out.Write(p)
}

func (b *buffered) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.poke()
	return b.Conn.Close()
}

// SetDeadline bounds reads only: a write never waits.
func (b *buffered) SetDeadline(t time.Time) error { return b.SetReadDeadline(t) }

func (b *buffered) SetWriteDeadline(time.Time) error { return nil }
