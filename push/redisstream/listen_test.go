package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestAppendsReachTheirNodes covers small and large pushes to several
// partitions, and none after Detach.
func TestAppendsReachTheirNodes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		transport := newTransport(t, client, redisstream.Config{InlineBytes: 200})
		e, _ := listen(t, transport)
		for i := range 20 {
			session := fmt.Sprintf("s%d", i)
			if _, err := transport.Attach(t.Context(), "a", session, 0); err != nil {
				t.Fatal(err)
			}
			m := message(session, fmt.Sprintf("p%d", i))
			if i%2 == 1 {
				m.Data = []byte(`"` + strings.Repeat("x", 300) + `"`)
			}
			if r := mustAppend(t, transport, m); r.Nodes != 1 {
				t.Errorf("push %d woke %d nodes, want 1", i, r.Nodes)
			}
		}
		patience.Until(t, "20 hints", func() bool { n, _ := e.heard(); return len(n) >= 20 })
		notices, _ := e.heard()
		for _, n := range notices {
			var i int
			if _, err := fmt.Sscanf(n.Session, "s%d", &i); err != nil {
				t.Fatal(err)
			}
			switch {
			case i%2 == 0 && (n.Entry == nil || n.Entry.ID != fmt.Sprintf("p%d", i) || n.Entry.Seq != n.Seq):
				t.Errorf("hint of small push %d: %+v, want the entry with it", i, n)
			case i%2 == 1 && n.Entry != nil:
				t.Errorf("hint of large push %d carries the entry", i)
			}
		}
		if err := transport.Detach(t.Context(), "a", "s0"); err != nil {
			t.Fatal(err)
		}
		if r := mustAppend(t, transport, message("s0", "late")); r.Nodes != 0 {
			t.Errorf("a push after Detach woke %d nodes", r.Nodes)
		}
	})
}

func TestNodeThatStopsIsForgotten(t *testing.T) {
	t.Parallel()
	transport, s := onServer(t, redisstream.Config{})
	_, stop := listen(t, transport)
	if _, err := transport.Attach(t.Context(), "a", "s", 0); err != nil {
		t.Fatal(err)
	}
	if r := mustAppend(t, transport, message("s", "p1")); r.Nodes != 1 {
		t.Fatalf("woke %d nodes, want 1", r.Nodes)
	}
	stop()
	if r := mustAppend(t, transport, message("s", "p2")); r.Nodes != 0 {
		t.Errorf("woke %d nodes after the stop, want 0", r.Nodes)
	}
	left, err := s.Client(t).Keys(t.Context(), "lm:*:n:*").Result()
	if err != nil || len(left) != 0 {
		t.Errorf("node streams left behind: %v, %v", left, err)
	}
}

// TestListenerNoticesWhatItLost breaks the node's streams in every way that an
// operator or a fault can.
func TestListenerNoticesWhatItLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, c redis.UniversalClient, s *redistest.Server)
	}{
		{"streams deleted", func(t *testing.T, c redis.UniversalClient, _ *redistest.Server) {
			t.Helper()
			for _, k := range c.Keys(t.Context(), "lm:*:n:a").Val() {
				if err := c.Del(t.Context(), k).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"store emptied", func(t *testing.T, c redis.UniversalClient, _ *redistest.Server) {
			t.Helper()
			if err := c.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		{"streams trimmed", func(t *testing.T, c redis.UniversalClient, _ *redistest.Server) {
			t.Helper()
			for _, k := range c.Keys(t.Context(), "lm:*:n:a").Val() {
				if err := c.XTrimMaxLen(t.Context(), k, 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"server restarted", func(_ *testing.T, _ redis.UniversalClient, s *redistest.Server) { s.Restart() }},
		{"server restarted empty", func(t *testing.T, c redis.UniversalClient, s *redistest.Server) {
			t.Helper()
			if err := c.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			s.Restart()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			transport, s := onServer(t, redisstream.Config{NodeTTL: 6 * time.Second}) // looks each second
			c := s.Client(t)
			e, _ := listen(t, transport)
			if _, err := transport.Attach(t.Context(), "a", "s", 0); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, transport, message("s", "before"))
			patience.Until(t, "first push", func() bool { return e.heardID("before") })

			tt.damage(t, c, s)
			patience.Until(t, "resync", e.resynced(2))
			patience.Until(t, "attached again", func() bool {
				_, err := transport.Attach(t.Context(), "a", "s", 0)
				return err == nil
			})
			if _, err := transport.Append(t.Context(), message("s", "after")); err != nil {
				t.Fatal(err)
			}
			patience.Until(t, "push after it", func() bool { return e.heardID("after") })
		})
	}
}

// TestOverrunReaderResyncs has a listener that is busy while its stream is
// overrun.
func TestOverrunReaderResyncs(t *testing.T) {
	t.Parallel()
	transport, _ := onServer(t, redisstream.Config{NodeStreamLen: 1000, MailboxLen: 10_000, Partitions: 1})
	e := &slowEar{entered: make(chan struct{}, 1), leave: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- transport.Listen(ctx, "a", e) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen: %v", err)
		}
	})
	patience.Until(t, "registered", e.resynced(1))
	if _, err := transport.Attach(t.Context(), "a", "s", 0); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, transport, message("s", "first"))
	<-e.entered
	appendN(t, transport, "s", 3000)
	close(e.leave)
	patience.Until(t, "resync", e.resynced(2))
	patience.Until(t, "the last one", func() bool { return e.heardID("p2999") })
}

// slowEar hangs in its first Notify.
type slowEar struct {
	ear
	entered, leave chan struct{}
}

func (e *slowEar) Notify(n []push.Notice) {
	select {
	case e.entered <- struct{}{}:
		<-e.leave
	default:
	}
	e.ear.Notify(n)
}

// TestSilentServerIsNoticed: connections stay open and nothing comes back any
// more, as with a half-open connection or an isolated old master.
func TestSilentServerIsNoticed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Config{})
	p := newProxy(t, s.Addr())
	transport := newTransport(t, s.Client(t), redisstream.Config{NodeTTL: 6 * time.Second, BlockingClient: p.timely(t)})
	e, _ := listen(t, transport)
	if _, err := transport.Attach(t.Context(), "a", "s", 0); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, transport, message("s", "before"))
	patience.Until(t, "first push", func() bool { return e.heardID("before") })

	p.stall(true)
	mustAppend(t, transport, message("s", "during"))
	p.stall(false) // new connections work again; the old one stays silent
	patience.Until(t, "push over a new connection", func() bool { return e.heardID("during") })
}

// TestRefusingServerIsNotHammered counts what a listener sends to a server
// that refuses everything.
func TestRefusingServerIsNotHammered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		refuse, accept func(ctx context.Context, c redis.Cmdable) error
	}{
		{
			"password",
			func(ctx context.Context, c redis.Cmdable) error {
				err := c.ConfigSet(ctx, "requirepass", "x").Err()
				return errors.Join(err, c.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err())
			},
			func(ctx context.Context, c redis.Cmdable) error { return c.ConfigSet(ctx, "requirepass", "").Err() },
		},
		{
			"read-only replica",
			func(ctx context.Context, c redis.Cmdable) error { return c.SlaveOf(ctx, "127.0.0.1", "1").Err() },
			func(ctx context.Context, c redis.Cmdable) error { return c.SlaveOf(ctx, "NO", "ONE").Err() },
		},
		{
			"out of memory",
			func(ctx context.Context, c redis.Cmdable) error {
				return errors.Join(c.FlushAll(ctx).Err(), c.ConfigSet(ctx, "maxmemory", "1").Err())
			},
			func(ctx context.Context, c redis.Cmdable) error { return c.ConfigSet(ctx, "maxmemory", "0").Err() },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			transport, s := onServer(t, redisstream.Config{NodeTTL: 6 * time.Second, Partitions: 1})
			admin := s.Client(t)
			one := admin.Conn() // a connection that was let in before
			t.Cleanup(func() { _ = one.Close() })
			if err := one.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			e, _ := listen(t, transport)
			if err := tt.refuse(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			before := commands(t, one)
			timer := time.NewTimer(3 * time.Second)
			<-timer.C
			// Each try is a handful of commands, and there are at most some 10
			// tries a second at first.
			if n := commands(t, one) - before; n > 400 {
				t.Errorf("%d commands in 3 s of refusals", n)
			}
			if err := tt.accept(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			patience.Until(t, "attached", func() bool {
				_, err := transport.Attach(t.Context(), "a", "s", 0)
				return err == nil
			})
			mustAppend(t, transport, message("s", "after"))
			patience.Until(t, "push after it", func() bool { return e.heardID("after") })
		})
	}
}

// commands returns how many commands the server has been sent.
func commands(t *testing.T, c *redis.Conn) (n int) {
	t.Helper()
	info, err := c.Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "total_commands_processed:"); ok {
			if _, err := fmt.Sscan(v, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}
