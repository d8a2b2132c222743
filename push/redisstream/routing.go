package redisstream

import (
	"context"
	"fmt"
	"strconv"

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

// routing says where a node's hints go, and the field of a session's meta hash
// that says so to publishers. They read both kinds: each node's route tells.
type routing struct {
	keys  keys
	inbox bool
}

// route returns the field.
func (r routing) route(node string) string {
	if r.inbox {
		return "i" + node
	}
	return "n" + node
}

// stream returns the stream for hints about a partition's sessions.
func (r routing) stream(p int, node string) string {
	if r.inbox {
		p = 0
	}
	return r.keys.node(p, node)
}

// streams returns all the streams of a node.
func (r routing) streams(node string) []string {
	if r.inbox {
		return []string{r.stream(0, node)}
	}
	all := make([]string, len(r.keys.tags))
	for p := range all {
		all[p] = r.stream(p, node)
	}
	return all
}

// routing returns what this process goes by. It stays the same from the first
// time on, so only that waits for the store.
func (t *Transport) routing(ctx context.Context) (routing, error) {
	if r := t.routes.Load(); r != nil {
		return *r, nil
	}
	if err := t.verify(ctx); err != nil {
		return routing{}, err
	}
	return *t.routes.Load(), nil
}

// verify claims the store for a layout, or finds it claimed, before the first
// use and after each sign that the store may be another one.
func (t *Transport) verify(ctx context.Context) error {
	if t.verified.Load() {
		return nil
	}
	t.verifyMu.Lock()
	defer t.verifyMu.Unlock()
	if t.verified.Load() {
		return nil
	}
	got, err := t.claim(ctx, t.keys.config(), t.describe(t.wanted()))
	if err != nil {
		return t.fail("verify", "", err)
	}
	if err := t.accept(got); err != nil {
		return err
	}
	if _, err := t.epoch(ctx); err != nil {
		return err
	}
	t.routes.Store(&routing{t.keys, t.layout == layoutInbox})
	t.verified.Store(true)
	return nil
}

// wanted returns the layout that this process has known so far, or would choose
// for a new store.
func (t *Transport) wanted() string {
	switch {
	case t.layout != "":
		return t.layout
	case t.cfg.Sharded:
		return layoutSpread
	}
	return layoutInbox
}

// accept takes the store's description of itself, or says what is wrong with
// it. The caller holds the lock.
func (t *Transport) accept(got string) error {
	key := t.keys.config()
	switch {
	case got == t.describe(layoutSpread) && t.layout == layoutInbox:
		return fmt.Errorf("redisstream: the store's %s says %q now, and said layout=%s before: restart this process", key, got, t.layout)
	case got == t.describe(layoutSpread):
		t.layout = layoutSpread
	case got == t.describe(layoutInbox) && t.cfg.Sharded:
		return fmt.Errorf("redisstream: the store's %s says %q, which needs a single server: stop all processes and set it to %q", key, got, t.describe(layoutSpread))
	case got == t.describe(layoutInbox):
		if t.layout == "" { // with the other one this process goes on as it began
			t.layout = layoutInbox
		}
	default:
		return fmt.Errorf("redisstream: the store's %s says %q, this process wants %q", key, got, t.describe(t.wanted()))
	}
	return nil
}

func (t *Transport) describe(layout string) string {
	return "layout=" + layout + " partitions=" + strconv.Itoa(t.cfg.Partitions)
}

// sharded reports whether the store's slots may lie on several servers.
func sharded(client redis.UniversalClient, cfg Config) bool {
	_, single := client.(*redis.Client)
	_, reads := cfg.BlockingClient.(*redis.Client)
	return cfg.Sharded || !single || cfg.BlockingClient != nil && !reads
}
