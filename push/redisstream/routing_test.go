package redisstream_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push/redisstream"
)

const (
	spread = "layout=1 partitions=16"
	inbox  = "layout=2 partitions=16"
)

// TestNodesOfBothLayoutsHear has nodes of a store's older and newer layout on
// one session: each publisher wakes both.
func TestNodesOfBothLayoutsHear(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		ctx := t.Context()
		set(t, client, spread)
		older := newTransport(t, client, redisstream.Config{})
		a, _ := listenAs(t, older, "a")
		set(t, client, inbox)
		if err := older.Ping(ctx); err != nil {
			t.Errorf("Ping of a process that began with the older layout: %v", err)
		}
		newer := newTransport(t, client, redisstream.Config{})
		b, _ := listenAs(t, newer, "b")
		for node, transport := range map[string]*redisstream.Transport{"a": older, "b": newer} {
			if _, err := transport.Attach(ctx, node, "s", 0); err != nil {
				t.Fatal(err)
			}
		}
		for id, transport := range map[string]*redisstream.Transport{"from-older": older, "from-newer": newer} {
			if r := mustAppend(t, transport, message("s", id)); r.Nodes != 2 {
				t.Errorf("push %s woke %d nodes, want 2", id, r.Nodes)
			}
			patience.Until(t, "both hear "+id, func() bool { return a.heardID(id) && b.heardID(id) })
		}
		if streams := client.Keys(ctx, "lm:*:n:a").Val(); len(streams) != 16 {
			t.Errorf("node a reads %d streams, want one in each partition", len(streams))
		}
		if streams := client.Keys(ctx, "lm:*:n:b").Val(); len(streams) != 1 {
			t.Errorf("node b reads %d streams, want one", len(streams))
		}
		for node, transport := range map[string]*redisstream.Transport{"a": older, "b": newer} {
			if err := transport.Detach(ctx, node, "s"); err != nil {
				t.Fatal(err)
			}
		}
		if r := mustAppend(t, older, message("s", "alone")); r.Nodes != 0 {
			t.Errorf("a push after Detach woke %d nodes", r.Nodes)
		}
	})
}

// TestLayoutsThatDoNotFitAreRefused: who cannot hear, or be heard, says so.
func TestLayoutsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		before, after string
		cfg           redisstream.Config
		refused       string
	}{
		{"the same", inbox, inbox, redisstream.Config{}, ""},
		{"a newer one", spread, inbox, redisstream.Config{}, ""},
		{"an older one", inbox, spread, redisstream.Config{}, "restart this process"},
		{"one unheard of", inbox, "layout=3 partitions=16", redisstream.Config{}, "layout=3"},
		{"a cluster's", spread, spread, redisstream.Config{Sharded: true}, ""},
		{"one of a single server", spread, inbox, redisstream.Config{Sharded: true}, "needs a single server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, client redis.UniversalClient) {
				t.Helper()
				transport := newTransport(t, client, tt.cfg)
				set(t, client, tt.before)
				if err := transport.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				set(t, client, tt.after)
				err := transport.Ping(t.Context())
				if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("Ping: %v, want %q", err, tt.refused)
				}
			})
		})
	}
}

// TestStoreMovesToACluster: what routes lead to on the single server that the
// store comes from is no business of the cluster's.
func TestStoreMovesToACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.Config{}, false)
	client := cluster.Client(t)
	transport := newTransport(t, client, redisstream.Config{MailboxLen: 2})
	mustAppend(t, transport, message("s", "p0"))
	if got := client.Get(t.Context(), "lm:cfg").Val(); got != spread {
		t.Errorf("a new cluster is said to be %q, want %q", got, spread)
	}
	moved := func(session string) {
		t.Helper()
		keys := allKeys(t, cluster, "lm:*:m:"+session)
		if len(keys) != 1 {
			t.Fatalf("meta hashes %q of session %s, want one", keys, session)
		}
		if err := client.HSet(t.Context(), keys[0], "igone", "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
	moved("s")
	if r := mustAppend(t, transport, message("s", "p1")); r.Nodes != 0 {
		t.Errorf("%d nodes woken, want none", r.Nodes)
	}
	moved("s")
	if _, err := transport.Append(t.Context(), message("s", "p2")); err == nil {
		t.Error("a push beyond the bound was stored")
	}
	moved("s")
	if err := transport.CloseSession(t.Context(), "s"); err != nil {
		t.Error(err)
	}
}

// allKeys returns the keys of a pattern on all masters.
func allKeys(t *testing.T, c *redistest.Cluster, pattern string) []string {
	t.Helper()
	var all []string
	for _, m := range c.Masters {
		keys, err := m.Client(t).Keys(t.Context(), pattern).Result()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, keys...)
	}
	return all
}

// set says what the store is.
func set(t *testing.T, client redis.UniversalClient, layout string) {
	t.Helper()
	if err := client.Set(t.Context(), "lm:cfg", layout, 0).Err(); err != nil {
		t.Fatal(err)
	}
}
