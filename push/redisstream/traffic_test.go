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

// traffic is a publisher and a feed for each of some sessions. Publishers end
// when over is set, feeds when stopFeeds is called, and all with the test.
type traffic struct {
	ctx               context.Context
	over              atomic.Bool
	publishers, feeds sync.WaitGroup
	stopFeeds         context.CancelFunc
}

// start runs a node with a feed of each session, and their publishers, for at
// most a time.
func (f *traffic) start(t *testing.T, n *push.Node, sessions int, limit time.Duration, follow func(ctx context.Context, s int, feed *push.Feed), publish func(s int)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	following, stop := context.WithCancel(ctx)
	f.ctx, f.stopFeeds = ctx, stop
	t.Cleanup(func() {
		f.over.Store(true)
		cancel()
		f.publishers.Wait()
		f.feeds.Wait()
	})
	f.feeds.Go(func() {
		if err := n.Run(following); err != nil {
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
			follow(following, s, feed)
		})
		f.publishers.Go(func() { publish(s) })
	}
}
