package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// appendUntilStored appends until it is told that the push is stored, as a publisher with
// patience does.
func appendUntilStored(ctx context.Context, a push.Appender, m push.Message) (push.Receipt, error) {
	for attempt := 0; ; attempt++ {
		r, err := a.Append(ctx, m)
		if err == nil || ctx.Err() != nil || errors.Is(err, push.ErrMailboxFull) || errors.Is(err, push.ErrInvalid) {
			return r, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(push.Backoff(attempt, 5*time.Millisecond, 100*time.Millisecond)):
		}
	}
}

// TestKillsLoseNothing has publishers append in order to their sessions,
// repeating what failed under the same ID, while the server is killed and
// restarted under them. A node listens all the while.
func TestKillsLoseNothing(t *testing.T) {
	t.Parallel()
	const publishers, kills = 8, 5
	server := redistest.Start(t, redistest.Config{AOF: "always"})
	cfg := redisstream.Config{MailboxLen: 10_000}
	transport := newTransport(t, server.Client(t), cfg)
	e, _ := listen(t, newTransport(t, server.Client(t), cfg))

	ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
	defer cancel()
	var over atomic.Bool
	var wg sync.WaitGroup
	accepted := make([][]push.Seq, publishers)
	for p := range publishers {
		session := fmt.Sprintf("s%d", p)
		if _, err := transport.Attach(ctx, "a", session, 0); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := 0; !over.Load(); i++ {
				r, err := appendUntilStored(ctx, transport, message(session, fmt.Sprintf("p%d", i)))
				if err != nil {
					t.Errorf("%s: push %d: %v", session, i, err)
					return
				}
				accepted[p] = append(accepted[p], r.Seq)
			}
		})
	}
	total := func() (n int64) {
		// The server's own count, read between kills only.
		sizes, err := server.Client(t).DBSize(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		return sizes
	}
	for range kills {
		before := total()
		patience.Until(t, "some more pushes", func() bool { return total() > before+100 })
		server.Restart()
	}
	over.Store(true)
	wg.Wait()

	all := 0
	for p, seqs := range accepted {
		session := fmt.Sprintf("s%d", p)
		all += len(seqs)
		var after push.Seq
		for i, want := range seqs {
			_ = i
			if want <= after {
				t.Fatalf("%s: push %d has place %d, not after %d", session, i, want, after)
			}
			after = want
		}
		checkMailbox(t, transport, session, seqs)
	}
	t.Logf("report: %d pushes accepted over %d kills of the server: 0 lost, 0 twice, in order", all, kills)

	// The listener is back too.
	r, err := appendUntilStored(ctx, transport, message("s0", "end"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Nodes == 0 { // its streams are there again, the route may have gone
		if _, err := transport.Attach(ctx, "a", "s0", r.Seq); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, transport, message("s0", "end2"))
	}
	patience.Until(t, "a hint after the last kill", func() bool { return e.heardID("end") || e.heardID("end2") })
}

// checkMailbox requires exactly the accepted pushes, once and in order, each
// with its predecessor.
func checkMailbox(t *testing.T, transport *redisstream.Transport, session string, want []push.Seq) {
	t.Helper()
	var after push.Seq
	n := 0
	for {
		page, err := transport.Read(t.Context(), session, after, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range page {
			if n >= len(want) || entry.Seq != want[n] || entry.ID != fmt.Sprintf("p%d", n) || entry.Prev != after {
				t.Fatalf("%s: entry %d is %s at %d behind %d; %d were accepted", session, n, entry.ID, entry.Seq, entry.Prev, len(want))
			}
			after = entry.Seq
			n++
		}
		if len(page) < 500 {
			break
		}
	}
	if n != len(want) {
		t.Errorf("%s: %d entries, %d were accepted", session, n, len(want))
	}
}

// TestLostRepliesStoreOnce cuts the connection after the server got a push and
// before its reply is back. go-redis repeats the call by itself.
func TestLostRepliesStoreOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	p := newProxy(t, server.Addr())
	transport := newTransport(t, p.client(t), redisstream.Config{})
	mustAppend(t, transport, message("s", "p0"))
	want := []push.Seq{mustRead(t, transport, 0)[0].Seq}
	for i := range 20 {
		p.loseReply()
		r := mustAppend(t, transport, message("s", fmt.Sprintf("p%d", i+1)))
		if !r.Duplicate {
			t.Errorf("push %d: no repeat was needed", i+1)
		}
		want = append(want, r.Seq)
	}
	if p.lost() != 20 {
		t.Errorf("%d replies were lost, want 20", p.lost())
	}
	checkMailbox(t, transport, "s", want)
}

// TestForgottenScriptsAreSentAgain covers single calls and pipelines.
func TestForgottenScriptsAreSentAgain(t *testing.T) {
	t.Parallel()
	transport, s := onServer(t, redisstream.Config{})
	c := s.Client(t)
	ctx := t.Context()
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"append", func() error { _, err := transport.Append(ctx, message("s", "p")); return err }},
		{"attach", func() error { _, err := transport.Attach(ctx, "n", "s", 0); return err }},
		{"check", func() error { _, err := transport.Check(ctx, "n", []string{"s", "t", "u"}); return err }},
		{"pending", func() error { _, err := transport.Pending(ctx, "s", 0); return err }},
		{"ack", func() error { return transport.Ack(ctx, "s", push.Ack{Node: "n"}) }},
		{"dead letter", func() error { return transport.DeadLetter(ctx, "s", 1, push.Failure{}) }},
	} {
		if err := c.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		if err := step.run(); err != nil {
			t.Errorf("%s after SCRIPT FLUSH: %v", step.name, err)
		}
	}
}

func TestEmptiedStoreHasANewEpoch(t *testing.T) {
	t.Parallel()
	transport, s := onServer(t, redisstream.Config{})
	ctx := t.Context()
	seqs := appendN(t, transport, "s", 2)
	before, err := transport.Attach(ctx, "n", "s", seqs[1])
	if err != nil {
		t.Fatal(err)
	}
	other := newTransport(t, s.Client(t), redisstream.Config{})
	if b, err := other.Pending(ctx, "s", 0); err != nil || b.Epoch != before.Epoch || before.Epoch == "" {
		t.Errorf("another process sees epoch %q, %v, want %q", b.Epoch, err, before.Epoch)
	}
	if err := s.Client(t).FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	after, err := transport.Attach(ctx, "n", "s", seqs[1])
	if err != nil {
		t.Fatal(err)
	}
	if after.Epoch == before.Epoch || after.Epoch == "" {
		t.Errorf("epoch %q after FLUSHALL, %q before", after.Epoch, before.Epoch)
	}
	if r := mustAppend(t, transport, message("s", "new")); r.Seq <= seqs[1] {
		t.Errorf("place %d after FLUSHALL, not above the cursor %d", r.Seq, seqs[1])
	}
	if b, err := other.Pending(ctx, "s", 0); err != nil || b.Epoch != after.Epoch {
		t.Errorf("another process sees epoch %q, %v, want %q", b.Epoch, err, after.Epoch)
	}
}

func TestPartitionsAreFixed(t *testing.T) {
	t.Parallel()
	transport, s := onServer(t, redisstream.Config{Partitions: 4})
	if err := transport.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := newTransport(t, s.Client(t), redisstream.Config{Partitions: 8})
	if err := other.Ping(t.Context()); err == nil {
		t.Error("Ping with another number of partitions succeeded")
	}
	if _, err := other.Append(t.Context(), message("s", "p")); err == nil {
		t.Error("Append with another number of partitions succeeded")
	}
}

// TestIdleFeedHearsOfAnEmptiedStore empties the store under a feed that nobody
// pushes to: its node misses its streams, or with sweeps alone the epoch.
func TestIdleFeedHearsOfAnEmptiedStore(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		partitions int
		sweep      time.Duration
		// replace makes the node's stream again before the node can miss it.
		replace bool
	}{
		"missing streams": {partitions: 16, sweep: time.Hour},
		"sweep":           {partitions: 1, sweep: 2 * time.Second, replace: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport, s := onServer(t, redisstream.Config{Partitions: tt.partitions})
			n, err := push.NewNode(transport, push.NodeConfig{Logger: quiet, SweepEvery: tt.sweep})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- n.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Errorf("node: %v", err)
				}
			}()
			feed, err := n.Subscribe(ctx, "s", 0)
			if err != nil {
				t.Fatal(err)
			}
			defer feed.Close()
			patience.Until(t, "the node listens", func() bool { return n.Healthy() == nil })
			c := s.Client(t)
			if _, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.FlushAll(ctx)
				if tt.replace {
					p.XAdd(ctx, &redis.XAddArgs{Stream: redisstream.NodeStream("lm", tt.partitions, n.ID()), Values: []string{"z", "1"}})
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			patience.Until(t, "the feed has ended", func() bool { return errors.Is(feed.Err(), push.ErrCursorTooOld) })
		})
	}
}
