package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// The layouts of a store, as <prefix>:cfg names them. They differ in the
// streams that nodes read, and that only.
const (
	// layoutSpread gives a node a stream in each partition, so that the append
	// script finds it in the session's slot.
	layoutSpread = "1"
	// layoutInbox gives a node one stream, in the first partition. It needs a
	// store on one server. A read that blocks on sixteen streams costs four
	// times as much as one on a single stream, at each push.
	layoutInbox = "2"
)

// layout knows what a store says of itself: the layout that it was set up with,
// and the epoch of its history. It asks before the first use and after each
// doubt, and refuses a store that was set up otherwise. It is safe for
// concurrent use.
type layout struct {
	client     redis.UniversalClient
	keys       keys
	partitions int
	sharded    bool
	metrics    *metrics

	verified atomic.Bool
	mu       sync.Mutex
	known    string                  // under mu: what the store said first, "" before
	routes   atomic.Pointer[routing] // what follows from it, nil before
}

// routing returns what this process goes by. It stays the same from the first
// time on, so only that waits for the store.
func (l *layout) routing(ctx context.Context) (routing, error) {
	if r := l.routes.Load(); r != nil {
		return *r, nil
	}
	if err := l.verify(ctx); err != nil {
		return routing{}, err
	}
	return *l.routes.Load(), nil
}

// doubt has the next verify ask the store again: it may be another one, or have
// been emptied.
func (l *layout) doubt() { l.verified.Store(false) }

// verify claims the store for a layout, or finds it claimed, before the first
// use and after each doubt.
func (l *layout) verify(ctx context.Context) error {
	if l.verified.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.verified.Load() {
		return nil
	}
	got, err := claim(ctx, l.client, l.keys.config(), l.describe(l.wanted()))
	if err != nil {
		return l.metrics.fail("verify", "", err)
	}
	if err := l.accept(got); err != nil {
		return err
	}
	if _, err := l.epoch(ctx); err != nil {
		return err
	}
	l.routes.Store(&routing{l.keys, l.known == layoutInbox})
	l.verified.Store(true)
	return nil
}

// epoch returns the name of the store's history, which begins anew when the
// store has been emptied.
func (l *layout) epoch(ctx context.Context) (string, error) {
	e, err := claim(ctx, l.client, l.keys.epoch(), rand.Text())
	if err != nil {
		return "", l.metrics.fail("epoch", "", err)
	}
	return e, nil
}

// wanted returns the layout that this process has known so far, or would choose
// for a new store.
func (l *layout) wanted() string {
	switch {
	case l.known != "":
		return l.known
	case l.sharded:
		return layoutSpread
	}
	return layoutInbox
}

// accept takes the store's description of itself, or says what is wrong with
// it. The caller holds the lock.
func (l *layout) accept(got string) error {
	key := l.keys.config()
	switch {
	case got == l.describe(layoutSpread) && l.known == layoutInbox:
		return fmt.Errorf("redisstream: the store's %s says %q now, and said layout=%s before: restart this process", key, got, l.known)
	case got == l.describe(layoutSpread):
		l.known = layoutSpread
	case got == l.describe(layoutInbox) && l.sharded:
		return fmt.Errorf("redisstream: the store's %s says %q, which needs a single server: stop all processes and set it to %q", key, got, l.describe(layoutSpread))
	case got == l.describe(layoutInbox):
		if l.known == "" { // with the other one this process goes on as it began
			l.known = layoutInbox
		}
	default:
		return fmt.Errorf("redisstream: the store's %s says %q, this process wants %q", key, got, l.describe(l.wanted()))
	}
	return nil
}

func (l *layout) describe(name string) string {
	return "layout=" + name + " partitions=" + strconv.Itoa(l.partitions)
}

// sharded reports whether the store's slots may lie on several servers.
func sharded(client redis.UniversalClient, cfg Config) bool {
	_, single := client.(*redis.Client)
	_, reads := cfg.BlockingClient.(*redis.Client)
	return cfg.Sharded || !single || cfg.BlockingClient != nil && !reads
}

// claim returns the value of key after setting it where there was none.
func claim(ctx context.Context, client redis.Cmdable, key, value string) (string, error) {
	for range 3 {
		v, err := client.Get(ctx, key).Result()
		if !errors.Is(err, redis.Nil) {
			return v, err
		}
		if err := client.SetNX(ctx, key, value, 0).Err(); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s vanishes", key)
}
