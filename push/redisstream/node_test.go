package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestFeedsMissNothingOverKills has feeds of two nodes on the same sessions
// while the server is killed and restarted under publishers: each feed yields
// every accepted push once and in order.
func TestFeedsMissNothingOverKills(t *testing.T) {
	t.Parallel()
	const sessions, pushes, kills = 12, 150, 3
	server := redistest.Start(t, redistest.Config{AOF: "always"})
	cfg := redisstream.Config{NodeTTL: 6 * time.Second}
	publisher := newTransport(t, server.Client(t), cfg)

	ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
	defer cancel()
	runCtx, stop := context.WithCancel(ctx)
	var nodes, feeds, publishers sync.WaitGroup
	for range 2 {
		n, err := push.NewNode(newTransport(t, server.Client(t), cfg), push.NodeConfig{
			Logger: quiet, SweepEvery: 2 * time.Second, RetryMax: 500 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes.Go(func() {
			if err := n.Run(runCtx); err != nil {
				t.Errorf("node: %v", err)
			}
		})
		for s := range sessions {
			feed, err := n.Subscribe(ctx, fmt.Sprintf("s%d", s), 0)
			if err != nil {
				t.Fatal(err)
			}
			feeds.Go(func() {
				defer feed.Close()
				if err := drain(ctx, feed, pushes); err != nil {
					t.Errorf("session %d: %v", s, err)
				}
			})
		}
	}
	progress := make(chan struct{}, sessions*pushes)
	for s := range sessions {
		publishers.Go(func() {
			for i := range pushes {
				if _, err := appendUntilStored(ctx, publisher, message(fmt.Sprintf("s%d", s), fmt.Sprintf("p%d", i))); err != nil {
					t.Errorf("session %d: push %d: %v", s, i, err)
					return
				}
				progress <- struct{}{}
			}
		})
	}
	for range kills {
		for range sessions * pushes / (kills + 1) {
			select {
			case <-progress:
			case <-ctx.Done():
				t.Fatal("the publishers are stuck")
			}
		}
		server.Restart()
	}
	killed := time.Now()
	publishers.Wait()
	feeds.Wait()
	t.Logf("report: %d pushes to %d feeds over %d kills of the server; all there %s after the last restart",
		sessions*pushes, 2*sessions, kills, time.Since(killed).Round(time.Millisecond))
	stop()
	nodes.Wait()
}

// drain requires p0, p1, ... from a feed, and acknowledges them.
func drain(ctx context.Context, feed *push.Feed, want int) error {
	for n := 0; n < want; {
		select {
		case <-feed.Ready():
		case <-ctx.Done():
			return fmt.Errorf("%d of %d pushes came", n, want)
		}
		for {
			e, ok := feed.Next()
			if !ok {
				break
			}
			if id := fmt.Sprintf("p%d", n); e.ID != id {
				return fmt.Errorf("got push %s, want %s", e.ID, id)
			}
			n++
			feed.Ack(e.Seq, nil)
		}
		if err := feed.Err(); err != nil {
			return errors.Join(fmt.Errorf("after %d pushes", n), err)
		}
	}
	return nil
}
