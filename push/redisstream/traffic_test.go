package redisstream_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/push"
)

// traffic is a publisher and a feed for each of some sessions, which requires
// the pushes p0, p1, ... Publishers end when over is set, feeds when stopFeeds is
// called, and all with the test.
type traffic struct {
	ctx               context.Context
	over              atomic.Bool
	publishers, feeds sync.WaitGroup
	stopFeeds         context.CancelFunc
}

// start runs a node with a feed of each session, and their publishers, for at
// most a time. seen is told how many pushes a session has got, and the last.
func (f *traffic) start(t *testing.T, n *push.Node, sessions int, limit time.Duration, publish func(s int), seen func(s int, n int64, e push.Entry)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	followCtx, stop := context.WithCancel(ctx)
	f.ctx, f.stopFeeds = ctx, stop
	t.Cleanup(func() {
		f.over.Store(true)
		cancel()
		f.publishers.Wait()
		f.feeds.Wait()
	})
	f.feeds.Go(func() {
		if err := n.Run(followCtx); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	for s := range sessions {
		feed, err := n.Subscribe(ctx, fmt.Sprintf("s%d", s), 0)
		if err != nil {
			t.Fatal(err)
		}
		f.feeds.Go(func() {
			defer feed.Close()
			follow(followCtx, t, s, feed, seen)
		})
		f.publishers.Go(func() { publish(s) })
	}
}

func follow(ctx context.Context, t *testing.T, s int, feed *push.Feed, seen func(s int, n int64, e push.Entry)) {
	t.Helper()
	for n := int64(0); ; {
		select {
		case <-feed.Ready():
		case <-ctx.Done():
			return
		}
		for e, ok := feed.Next(); ok; e, ok = feed.Next() {
			if id := fmt.Sprintf("p%d", n); e.ID != id {
				t.Errorf("session %d: got push %s, want %s", s, e.ID, id)
				return
			}
			n++
			seen(s, n, e)
			feed.Ack(e.Seq, nil)
		}
		if err := feed.Err(); err != nil {
			t.Errorf("session %d: after %d pushes: %v", s, n, err)
			return
		}
	}
}
