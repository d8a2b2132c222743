package redisstream_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// scale multiplies what the tests of this file do: 200 sessions, 20 times each.
var scale = flag.Int("scale", 1, "factor of the sizes of the sized tests")

// TestSamePushFromManyProcesses publishes each push 16 times at once over 4
// clients: one entry, and the same place for all.
func TestSamePushFromManyProcesses(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	cfg := redisstream.Config{MailboxLen: 10_000}
	var processes []*redisstream.Transport
	for range 4 {
		processes = append(processes, newTransport(t, server.Client(t), cfg))
	}
	pushes := 20 * *scale
	for i := range pushes {
		var wg sync.WaitGroup
		seqs := make([]push.Seq, 16)
		for c := range seqs {
			wg.Go(func() {
				r, err := appendUntilStored(t.Context(), processes[c%4], message("s", fmt.Sprintf("p%d", i)))
				if err != nil {
					t.Error(err)
				}
				seqs[c] = r.Seq
			})
		}
		wg.Wait()
		if len(slices.Compact(seqs)) != 1 {
			t.Fatalf("push %d has the places %v", i, seqs)
		}
	}
	if n := len(mustRead(t, processes[0], 0)); n != pushes {
		t.Errorf("%d entries, want %d", n, pushes)
	}
	t.Logf("report: %d pushes, each 16 times at once: %d entries", pushes, pushes)
}

// TestManyAbsentSessions pushes to sessions that nobody is in, and then comes
// for all of them: everything once and in order, and no mailbox is left when it
// is acknowledged.
func TestManyAbsentSessions(t *testing.T) {
	t.Parallel()
	sessions := 200 * *scale
	const each = 5
	server := redistest.Start(t, redistest.Config{})
	client := server.Client(t)
	transport := newTransport(t, client, redisstream.Config{ResumeWindow: time.Second})
	parallel(t, sessions, func(ctx context.Context, s int) error {
		for i := range each {
			if _, err := appendUntilStored(ctx, transport, message(fmt.Sprintf("s%d", s), fmt.Sprintf("p%d", i))); err != nil {
				return err
			}
		}
		return nil
	})
	parallel(t, sessions, func(ctx context.Context, s int) error {
		session := fmt.Sprintf("s%d", s)
		b, err := transport.Pending(ctx, session, 0)
		if err != nil {
			return err
		}
		if got := ids(b.Entries); got != "p0 p1 p2 p3 p4" {
			return fmt.Errorf("%s: pending %s", session, got)
		}
		return transport.Ack(ctx, session, push.Ack{Node: "n", UpTo: b.Cursor})
	})
	mailboxes := func() (n int) {
		iter := client.Scan(t.Context(), 0, "lm:*", 1000).Iterator()
		for iter.Next(t.Context()) {
			if strings.Contains(iter.Val(), ":b:") {
				n++
			}
		}
		return n
	}
	patience.Until(t, "no mailbox is left", func() bool { return mailboxes() == 0 })
	t.Logf("report: %d sessions, %d pushes, each once and in order; no mailbox left", sessions, sessions*each)
}

// TestManySessionsAttachAgain: a node dies with all its sessions, and another
// one takes them.
func TestManySessionsAttachAgain(t *testing.T) {
	t.Parallel()
	sessions := 200 * *scale
	server := redistest.Start(t, redistest.Config{})
	transport := newTransport(t, server.Client(t), redisstream.Config{})
	seqs := make([]push.Seq, sessions)
	parallel(t, sessions, func(ctx context.Context, s int) error {
		r, err := appendUntilStored(ctx, transport, message(fmt.Sprintf("s%d", s), "p0"))
		seqs[s] = r.Seq
		return err
	})
	took := make([]time.Duration, sessions)
	for _, node := range []string{"old", "new"} {
		began := time.Now()
		parallel(t, sessions, func(ctx context.Context, s int) error {
			start := time.Now()
			a, err := transport.Attach(ctx, node, fmt.Sprintf("s%d", s), 0)
			took[s] = time.Since(start)
			if err == nil && a.Last != seqs[s] {
				err = fmt.Errorf("session %d ends at %d, want %d", s, a.Last, seqs[s])
			}
			return err
		})
		slices.Sort(took)
		t.Logf("report: %d sessions attached to the %s node in %v, p99 of a call %v", sessions, node, time.Since(began).Round(time.Millisecond), took[sessions*99/100])
	}
}

// TestHandsInTheStore damages what only hurries delivery, at random: node
// streams deleted and trimmed, routes removed. Feeds miss nothing.
func TestHandsInTheStore(t *testing.T) {
	t.Parallel()
	const sessions, pushes = 8, 120
	server := redistest.Start(t, redistest.Config{})
	client := server.Client(t)
	cfg := redisstream.Config{NodeTTL: 6 * time.Second}
	n, err := push.NewNode(newTransport(t, server.Client(t), cfg), push.NodeConfig{Logger: quiet, SweepEvery: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
	defer cancel()
	runCtx, stop := context.WithCancel(ctx)
	var node, feeds, publishers sync.WaitGroup
	node.Go(func() {
		if err := n.Run(runCtx); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	publisher := newTransport(t, server.Client(t), cfg)
	for s := range sessions {
		session := fmt.Sprintf("s%d", s)
		feed, err := n.Subscribe(ctx, session, 0)
		if err != nil {
			t.Fatal(err)
		}
		feeds.Go(func() {
			defer feed.Close()
			if err := drain(ctx, feed, pushes); err != nil {
				t.Errorf("%s: %v", session, err)
			}
		})
		publishers.Go(func() {
			for i := range pushes {
				if _, err := appendUntilStored(ctx, publisher, message(session, fmt.Sprintf("p%d", i))); err != nil {
					t.Errorf("%s: push %d: %v", session, i, err)
				}
				if i%4 == s%4 {
					damage(ctx, t, client, n.ID(), i/4)
				}
			}
		})
	}
	publishers.Wait()
	feeds.Wait()
	stop()
	node.Wait()
	t.Logf("report: %d pushes through %d damages of node streams and routes", sessions*pushes, sessions*pushes/4)
}

// damage deletes or trims the node's streams, or removes its routes.
func damage(ctx context.Context, t *testing.T, client *redis.Client, node string, kind int) {
	t.Helper()
	iter := client.Scan(ctx, 0, "lm:*", 1000).Iterator()
	for iter.Next(ctx) {
		key := iter.Val()
		var err error
		switch {
		case strings.HasSuffix(key, ":n:"+node) && kind%3 == 0:
			err = client.Del(ctx, key).Err()
		case strings.HasSuffix(key, ":n:"+node) && kind%3 == 1:
			err = client.XTrimMaxLen(ctx, key, 0).Err()
		case strings.Contains(key, ":m:") && kind%3 == 2:
			err = client.HDel(ctx, key, "n"+node).Err()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("damage %s: %v", key, err)
		}
	}
}

// parallel calls fn for each number below n, 64 at a time.
func parallel(t *testing.T, n int, fn func(ctx context.Context, i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				if err := fn(t.Context(), i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
