package redisstream

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialFunc makes what blocking reads of key go through.
type dialFunc func(ctx context.Context, key string) (*readClient, error)

// readClient is a client for blocking reads.
type readClient struct {
	redis.UniversalClient
	// block is how long a read may block.
	block time.Duration
	// cut ends a read that blocks, which go-redis does not do when its context
	// ends. close ends the client. Neither does anything to a client that is
	// not the reader's own.
	cut, close func()
	// bound limits the time of one read.
	bound func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
}

// blockingClients returns how to make clients for blocking reads: such a read
// holds its connection, so it must not share a pool with anything else.
func blockingClients(client redis.UniversalClient, cfg Config) (dialFunc, error) {
	if cfg.BlockingClient != nil {
		return func(context.Context, string) (*readClient, error) {
			return &readClient{cfg.BlockingClient, sharedBlock, func() {}, func() {}, context.WithTimeout}, nil
		}, nil
	}
	switch c := client.(type) {
	case *redis.Client:
		return func(context.Context, string) (*readClient, error) { return newReadClient(c), nil }, nil
	case *redis.ClusterClient:
		return func(ctx context.Context, key string) (*readClient, error) {
			c.ReloadState(ctx) // whoever asks anew may have been redirected, or lost its master
			master, err := c.MasterForKey(ctx, key)
			if err != nil {
				return nil, err
			}
			return newReadClient(master), nil
		}, nil
	}
	return nil, errors.New("redisstream: Config.BlockingClient is needed with a client of this type")
}

// impatient returns a client that shares c's connections and gives up sooner,
// where the type of c allows that.
func impatient(c redis.UniversalClient, d time.Duration) redis.UniversalClient {
	if single, ok := c.(*redis.Client); ok {
		return single.WithTimeout(d)
	}
	return c
}

// newReadClient returns a client like c with one connection, whose reads end
// when they should.
func newReadClient(c *redis.Client) *readClient {
	o := *c.Options()
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 1, 0, 0, 0
	o.MaxRetries = -1 // the reader retries by itself
	// go-redis waits ten seconds longer than a read blocks, but for this.
	o.ContextTimeoutEnabled = true
	o.ReadTimeout = readBlock + readGrace
	o.PoolTimeout = readGrace
	if o.DialTimeout <= 0 || o.DialTimeout > 2*time.Second {
		o.DialTimeout = 2 * time.Second
	}
	w := &wires{dial: o.Dialer}
	o.Dialer = w.open
	client := redis.NewClient(&o)
	return &readClient{client, readBlock, w.cut, func() { _ = client.Close() }, withDeadline}
}

// wires knows a client's connections, so that they can be cut.
type wires struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	conns []net.Conn
	off   bool
}

func (w *wires) open(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := w.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off {
		// The read fails on it. After an error here go-redis would go on dialling,
		// for up to a second beyond the reader's end.
		_ = c.Close()
		return c, nil
	}
	w.conns = append(w.conns, c)
	return c, nil
}

func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = true
	for _, c := range w.conns {
		_ = c.Close()
	}
}

// withDeadline returns a context that does not end: go-redis sets its deadline
// on the connection. A timer would cost each read more than all else that this
// package does for it.
func withDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return bounded{ctx, time.Now().Add(d)}, func() {}
}

// bounded is what withDeadline returns.
type bounded struct {
	context.Context //nolint:containedctx // it is one
	until           time.Time
}

func (b bounded) Deadline() (time.Time, bool) {
	if d, ok := b.Context.Deadline(); ok && d.Before(b.until) {
		return d, true
	}
	return b.until, true
}
