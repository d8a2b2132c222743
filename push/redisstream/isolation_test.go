package redisstream_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestReaderLeavesAnIsolatedMaster: a new master has taken over, all
// connections but the blocked one have followed, and the old master goes on
// answering that one. Only the echo tells, since these servers do not say who
// they are.
func TestReaderLeavesAnIsolatedMaster(t *testing.T) {
	t.Parallel()
	mute := redistest.Config{Args: []string{"--rename-command", "INFO", ""}}
	before, after := redistest.Start(t, mute), redistest.Start(t, mute)
	board := &switchboard{conns: map[*line]struct{}{}}
	board.to(before.Addr())
	client := redis.NewClient(&redis.Options{Addr: before.Addr(), Protocol: 2, DisableIdentity: true, Dialer: board.dial})
	t.Cleanup(func() { _ = client.Close() })
	transport := newTransport(t, client, redisstream.Config{NodeTTL: 6 * time.Second}) // an echo each second

	e, _ := listen(t, transport)
	r := mustAppend(t, transport, message("s", "first"))
	if _, err := transport.Attach(t.Context(), "a", "s", r.Seq); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, transport, message("s", "before"))
	patience.Until(t, "a push before", func() bool { return e.heardID("before") })

	host, port, err := net.SplitHostPort(before.Addr())
	if err != nil {
		t.Fatal(err)
	}
	promoted := after.Client(t)
	if err := promoted.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	patience.Until(t, "a replica", func() bool {
		n, err := before.Client(t).Do(t.Context(), "WAIT", 1, 100).Int()
		return err == nil && n == 1 && promoted.DBSize(t.Context()).Val() > 0
	})
	if err := promoted.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	board.to(after.Addr())
	patience.Until(t, "a push after", func() bool {
		_, err := transport.Append(t.Context(), message("s", "after"))
		return err == nil
	})
	patience.Until(t, "the hint of it", func() bool { return e.heardID("after") })
}

// switchboard dials the server of the day.
type switchboard struct {
	mu    sync.Mutex
	addr  string
	conns map[*line]struct{}
}

// to switches to another server and cuts all connections, except those on
// which a read may block.
func (s *switchboard) to(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr = addr
	for l := range s.conns {
		if !l.reads() {
			_ = l.Close()
			delete(s.conns, l)
		}
	}
}

func (s *switchboard) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := new(net.Dialer).DialContext(ctx, network, s.addr)
	if err != nil {
		return nil, err
	}
	l := &line{Conn: c}
	s.conns[l] = struct{}{}
	return l, nil
}

// line is a connection that knows whether it is a reader's.
type line struct {
	net.Conn
	mu     sync.Mutex
	reader bool
}

func (l *line) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("xread")) {
		l.mu.Lock()
		l.reader = true
		l.mu.Unlock()
	}
	return l.Conn.Write(b)
}

func (l *line) reads() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reader
}

// TestListenEndsWhileTheServerIsFrozen: nothing waits for a server that does
// not answer, neither in a read nor in what follows a read that has failed.
func TestListenEndsWhileTheServerIsFrozen(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{"reading": 0, "looking after its streams": 3300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport, s := onServer(t, redisstream.Config{NodeTTL: 3 * time.Second})
			_, stop := listen(t, transport)
			s.Pause(t, time.Hour)
			<-time.After(after)
			began := time.Now()
			stop() // the server does not answer before the test is over
			t.Logf("report: Listen ended %v after its context", time.Since(began).Round(time.Millisecond))
		})
	}
}

func TestSubscriptionComesBack(t *testing.T) {
	t.Parallel()
	transport, s := onServer(t, redisstream.Config{})
	got := make(chan string, 100)
	stop, err := transport.Topics().Follow(t.Context(), "topic", func(b []byte) { got <- string(b) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for round := range 3 {
		patience.Until(t, "a message", func() bool {
			if err := transport.Topics().Publish(t.Context(), "topic", []byte("hello")); err != nil {
				return false
			}
			select {
			case <-got:
				return true
			case <-time.After(50 * time.Millisecond):
				return false
			}
		})
		if round < 2 {
			if err := s.Client(t).ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	patience.Until(t, "no subscription", func() bool {
		return len(s.Client(t).PubSubChannels(t.Context(), "*").Val()) == 0
	})
	again, err := transport.Topics().Follow(t.Context(), "topic", func([]byte) {})
	if err != nil {
		t.Fatalf("Follow after the last stop: %v", err)
	}
	again()
}

func TestSecretIsShared(t *testing.T) {
	t.Parallel()
	transport, s := onServer(t, redisstream.Config{})
	first, err := transport.Secret(t.Context())
	if err != nil || len(first) != 32 {
		t.Fatalf("secret of %d bytes, %v, want 32", len(first), err)
	}
	second, err := newTransport(t, s.Client(t), redisstream.Config{}).Secret(t.Context())
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("another process has another secret (%v)", err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  redistest.Config
		want int
	}{
		{"as it should be", redistest.Config{AOF: "everysec", Args: []string{"--stream-node-max-bytes", "512"}}, 0},
		{"out of the box", redistest.Config{}, 2},
		{"evicting", redistest.Config{AOF: "no", Args: []string{"--maxmemory-policy", "allkeys-lru", "--stream-node-max-bytes", "512"}}, 2},
		{"mute", redistest.Config{Args: []string{"--rename-command", "CONFIG", ""}}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, tt.cfg)
			if got := newTransport(t, s.Client(t), redisstream.Config{}).Warnings(t.Context()); len(got) != tt.want {
				t.Errorf("%d warnings %q, want %d", len(got), got, tt.want)
			}
		})
	}
	s := redistest.Start(t, redistest.Config{})
	s.Kill()
	if got := newTransport(t, s.Client(t), redisstream.Config{}).Warnings(t.Context()); len(got) == 0 {
		t.Error("no warning from a server that is down")
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	masters := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	replicas := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ReadOnly: true})
	nearest := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, RouteByLatency: true})
	t.Cleanup(func() {
		_, _, _, _, _ = client.Close(), ring.Close(), masters.Close(), replicas.Close(), nearest.Close()
	})
	for _, tt := range []struct {
		name   string
		client redis.UniversalClient
		cfg    redisstream.Config
		ok     bool
	}{
		{"defaults", client, redisstream.Config{}, true},
		{"no client", nil, redisstream.Config{}, false},
		{"braces", client, redisstream.Config{Prefix: "a{b}"}, false},
		{"negative", client, redisstream.Config{MailboxLen: -1}, false},
		{"short-lived nodes", client, redisstream.Config{NodeTTL: time.Second}, false},
		{"too many partitions", client, redisstream.Config{Partitions: 5000}, false},
		{"the longest mailbox", client, redisstream.Config{MailboxLen: 10_000}, true},
		{"too long a mailbox", client, redisstream.Config{MailboxLen: 10_001}, false},
		{"cluster", masters, redisstream.Config{}, true},
		{"cluster with reads from replicas", replicas, redisstream.Config{}, false},
		{"cluster with reads from anywhere", nearest, redisstream.Config{}, false},
		{"ring", ring, redisstream.Config{}, false},
		{"ring with a client for reads", ring, redisstream.Config{BlockingClient: client}, true},
	} {
		if _, err := redisstream.New(tt.client, tt.cfg); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want success: %t", tt.name, err, tt.ok)
		}
	}
}

// TestNamesAreChecked: what cannot be a name is refused before it is part of a
// key.
func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = client.Close() })
	transport := newTransport(t, client, redisstream.Config{})
	ctx := t.Context()
	long := string(bytes.Repeat([]byte("x"), push.MaxIDLen+1))
	for name, run := range map[string]func(session string) error{
		"Append":     func(s string) error { _, err := transport.Append(ctx, message(s, "p")); return err },
		"Attach":     func(s string) error { _, err := transport.Attach(ctx, "n", s, 0); return err },
		"Detach":     func(s string) error { return transport.Detach(ctx, "n", s) },
		"Read":       func(s string) error { _, err := transport.Read(ctx, s, 0, 1); return err },
		"Pending":    func(s string) error { _, err := transport.Pending(ctx, s, 0); return err },
		"Ack":        func(s string) error { return transport.Ack(ctx, s, push.Ack{}) },
		"CountStart": func(s string) error { _, err := transport.CountStart(ctx, s, 1, 2); return err },
		"DeadLetter": func(s string) error { return transport.DeadLetter(ctx, s, 1, push.Failure{}) },
		"Close":      func(s string) error { return transport.CloseSession(ctx, s) },
		"Take":       func(s string) error { _, err := transport.States().TakeConn(ctx, s, "c", time.Minute); return err },
		"Load":       func(s string) error { _, err := transport.States().LoadView(ctx, s, "v"); return err },
		"Commit": func(s string) error {
			_, err := transport.States().Commit(ctx, push.Commit{Conn: push.ConnRecord{Session: s, Conn: "c"}})
			return err
		},
	} {
		for _, session := range []string{"", long} {
			if err := run(session); !isInvalid(err) {
				t.Errorf("%s with a session ID of %d bytes: %v, want ErrInvalid", name, len(session), err)
			}
		}
	}
	if err := transport.Ack(ctx, "s", push.Ack{UpTo: 1 << 60}); !isInvalid(err) {
		t.Errorf("Ack of a place that cannot be: %v, want ErrInvalid", err)
	}
}
