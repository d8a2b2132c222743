package redisstream_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// backend returns what the suite needs of a Transport. Housekeeping runs when
// time is advanced, and not behind the suite's back.
func backend(t *testing.T, client redis.UniversalClient, cfg redisstream.Config, pass func(time.Duration)) pushtest.Backend {
	t.Helper()
	transport := newTransport(t, client, cfg)
	return pushtest.Backend{
		Transport: transport, States: transport.States(), Dead: transport.DeadLetters(), Broker: transport.Topics(),
		Advance: func(d time.Duration) {
			for d > 0 { // a day without housekeeping is what the keys' lifetimes allow
				step := min(d, 12*time.Hour)
				d -= step
				pass(step)
				if err := transport.Tidy(context.WithoutCancel(t.Context())); err != nil {
					t.Errorf("tidy: %v", err)
				}
			}
		},
		AppendStored: func(session, id string, stored []byte) (push.Receipt, error) {
			return transport.AppendStored(t.Context(), session, id, stored)
		},
		MailboxLen: cfg.MailboxLen, ResumeWindow: cfg.ResumeWindow, MaxAge: cfg.MaxAge, DedupeTTL: cfg.DedupeTTL,
	}
}

// TestConformanceMiniredis runs the suite in bubbles, with production's
// lifetimes.
func TestConformanceMiniredis(t *testing.T) {
	t.Parallel()
	pushtest.RunBubble(t, func(t *testing.T) pushtest.Backend {
		t.Helper()
		// One partition each: hours of a listener's reads are emulated.
		return backend(t, pushtest.NewRedis(t).Client(t), redisstream.Config{MailboxLen: 20, Partitions: 1}, time.Sleep)
	})
}

// TestConformanceServer runs the same suite on a real server, in real time and
// so with short lifetimes, for a user who may run what Preflight tries and no
// other command.
func TestConformanceServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{AOF: "always"})
	rules := []any{"ACL", "SETUSER", "least", "on", "nopass", "~*", "&*", "-@all"}
	for _, name := range redisstream.Needed() {
		rules = append(rules, "+"+name)
	}
	if err := server.Client(t).Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	pushtest.Run(t, func(t *testing.T) pushtest.Backend {
		t.Helper()
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "least", Password: "any"})
		t.Cleanup(func() { _ = client.Close() })
		return realTime(t, client)
	})
}

// TestConformanceCluster runs the suite on three masters: no script touches
// two slots, and what pipelines span is put together again.
func TestConformanceCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.Config{}, false)
	pushtest.Run(t, func(t *testing.T) pushtest.Backend {
		t.Helper()
		return realTime(t, cluster.Client(t))
	})
}

// realTime returns a backend with lifetimes that a test can outwait.
func realTime(t *testing.T, client redis.UniversalClient) pushtest.Backend {
	t.Helper()
	cfg := redisstream.Config{MailboxLen: 20, ResumeWindow: time.Second, MaxAge: 5 * time.Second, DedupeTTL: 4 * time.Second, Prefix: push.NewID()}
	b := backend(t, client, cfg, func(d time.Duration) { <-time.After(d) })
	b.StateTTL = 4 * time.Second // a busy machine wakes the test late
	return b
}
