package redisstream_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// onBoth runs a test on the in-memory imitation of Redis and on a real one.
func onBoth(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		m := miniredis.RunT(t)
		m.ClockTTL(true)
		c := redis.NewClient(&redis.Options{
			Addr: m.Addr(), Protocol: 2, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		t.Cleanup(func() { _ = c.Close() })
		test(t, c)
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		test(t, redistest.Start(t, redistest.Config{AOF: "always"}).Client(t))
	})
}

func TestHistoryGoesByItselfAndIsRemembered(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		long := newTransport(t, client, redisstream.Config{ResumeWindow: time.Hour})
		transport := newTransport(t, client, redisstream.Config{ResumeWindow: 200 * time.Millisecond})
		ctx := t.Context()
		seqs := appendN(t, transport, "s", 3)
		if err := long.Ack(ctx, "s", push.Ack{Node: "n", UpTo: seqs[2]}); err != nil {
			t.Fatal(err)
		}
		if got := ids(mustRead(t, transport, 0)); got != "p0 p1 p2" {
			t.Fatalf("read %q within the resume window, want all three", got)
		}
		if err := transport.Ack(ctx, "s", push.Ack{Node: "n", UpTo: seqs[2]}); err != nil {
			t.Fatal(err)
		}
		patience.Until(t, "mailbox gone after the resume window", func() bool {
			return len(mustRead(t, transport, 0)) == 0
		})
		if _, err := transport.Attach(ctx, "n", "s", seqs[1]); !errors.Is(err, push.ErrCursorTooOld) {
			t.Errorf("Attach below what expired: %v, want ErrCursorTooOld", err)
		}
		if _, err := transport.Attach(ctx, "n", "s", seqs[2]); err != nil {
			t.Errorf("Attach at the acked offset: %v", err)
		}
		r := mustAppend(t, transport, message("s", "next"))
		got := mustRead(t, transport, seqs[2])
		if len(got) != 1 || got[0].Prev != seqs[2] || got[0].Seq != r.Seq {
			t.Errorf("after the mailbox expired: %+v, want the next entry with its predecessor", got)
		}
	})
}

func TestFullMailboxGivesUpHistoryFirst(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		transport := newTransport(t, client, redisstream.Config{MailboxLen: 4})
		ctx := t.Context()
		for _, node := range []string{"a", "b"} {
			if _, err := transport.Attach(ctx, node, "s", 0); err != nil {
				t.Fatal(err)
			}
		}
		seqs := appendN(t, transport, "s", 4)
		if _, err := transport.Append(ctx, message("s", "over")); !errors.Is(err, push.ErrMailboxFull) {
			t.Fatalf("fifth push: %v, want ErrMailboxFull", err)
		}
		ack := push.Ack{Node: "a", UpTo: seqs[2], Skipped: []push.Seq{seqs[0]}, Route: seqs[2]}
		if err := transport.Ack(ctx, "s", ack); err != nil {
			t.Fatal(err)
		}
		// Node b lives and is behind: what it has not passed stays.
		if _, err := transport.Append(ctx, message("s", "over")); !errors.Is(err, push.ErrMailboxFull) {
			t.Fatalf("with a living node behind: %v, want ErrMailboxFull", err)
		}
		if err := transport.Detach(ctx, "b", "s"); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, transport, message("s", "x1"))
		if got := ids(mustRead(t, transport, 0)); got != "p3 x1" {
			t.Errorf("mailbox %q, want \"p3 x1\"", got)
		}
		mustAppend(t, transport, message("s", "x2"))
		// One is parked, three wait: four in all.
		if _, err := transport.Append(ctx, message("s", "x3")); !errors.Is(err, push.ErrMailboxFull) {
			t.Errorf("the parked push does not count: %v", err)
		}
		b, err := transport.Pending(ctx, "s", 0)
		if err != nil || ids(b.Entries) != "p0 p3 x1 x2" {
			t.Errorf("pending %q, %v, want \"p0 p3 x1 x2\"", ids(b.Entries), err)
		}
	})
}

// TestReplacesKeysAreForgotten: whatever became of the pushes under 60 keys, no
// more than twice MailboxLen are kept.
func TestReplacesKeysAreForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		transport := newTransport(t, client, redisstream.Config{MailboxLen: 5})
		for i := range 60 {
			m := message("s", fmt.Sprintf("p%d", i))
			m.Replaces, m.Final = fmt.Sprintf("key%d", i), i%3 == 2
			seq := mustAppend(t, transport, m).Seq
			err := transport.DeadLetter(t.Context(), "s", seq, push.Failure{Reason: push.ReasonError})
			if i < 30 {
				err = transport.Ack(t.Context(), "s", push.Ack{UpTo: seq})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		keys, err := client.Keys(t.Context(), "lm:*:u:s").Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys %v, %v", keys, err)
		}
		if n := client.HLen(t.Context(), keys[0]).Val(); n > 10 {
			t.Errorf("%d Replaces keys are kept, want at most 10", n)
		}
	})
}

func TestSessionsNeverMeet(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		transport := newTransport(t, client, redisstream.Config{Partitions: 1})
		// Joined carelessly, each pair would name the same key.
		for _, pair := range [][2][2]string{
			{{"a:b", "c"}, {"a", "b:c"}},
			{{"a%3Ab", "d"}, {"a:b", "d"}},
		} {
			for _, p := range pair {
				if r := mustAppend(t, transport, message(p[0], p[1])); r.Duplicate {
					t.Errorf("session %q, ID %q was taken for another's", p[0], p[1])
				}
			}
			for i, p := range pair {
				r := push.ConnRecord{Session: p[0], Conn: p[1], View: "v", State: []byte{'0' + byte(i)}}
				if err := transport.States().CreateConn(t.Context(), r, time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			r, err := transport.States().TakeConn(t.Context(), pair[0][0], pair[0][1], time.Minute)
			if err != nil || string(r.State) != "0" {
				t.Errorf("record of %q: %q, %v, want its own", pair[0], r.State, err)
			}
		}
	})
}

func TestCommitRepeatedByTheClientIsOneCommit(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Config{})
	proxy := newProxy(t, s.Addr())
	transport := newTransport(t, proxy.client(t), redisstream.Config{})
	ctx := t.Context()
	if err := transport.States().CreateConn(ctx, push.ConnRecord{Session: "s", Conn: "c", View: "v"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	c := push.Commit{Conn: push.ConnRecord{Session: "s", Conn: "c", View: "v"}, ConnTTL: time.Minute, View: &push.ViewRecord{State: []byte("{}")}, ViewTTL: time.Minute}
	first, err := transport.States().Commit(ctx, c) // so that the script is known
	if err != nil {
		t.Fatal(err)
	}
	c.View.Version = first.View.Version
	proxy.loseReply()
	got, err := transport.States().Commit(ctx, c)
	stored, bad := transport.States().LoadView(ctx, "s", "v")
	if err != nil || bad != nil || got.View.Version != stored.Version || stored.Version <= first.View.Version {
		t.Errorf("commit whose first answer was lost: version %d, %v, want %d as stored, after %d", got.View.Version, err, stored.Version, first.View.Version)
	}
	if n := proxy.lost(); n != 1 {
		t.Errorf("%d answers were lost, want 1", n)
	}
}

// TestPushEndsTheLifeOfHistory: what is acknowledged goes after the resume
// window, and takes no later push with it.
func TestPushEndsTheLifeOfHistory(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		ctx := t.Context()
		transport := newTransport(t, client, redisstream.Config{Partitions: 1})
		lifetime := func() time.Duration { return client.PTTL(ctx, "lm:{0}:b:s").Val() }
		after := push.Seq(0)
		for i, skip := range []bool{false, true, true, false, false} {
			first := mustAppend(t, transport, message("s", fmt.Sprintf("p%d", 2*i)))
			if d := lifetime(); d < 24*time.Hour {
				t.Fatalf("round %d: the mailbox lives for %s after a push", i, d)
			}
			second := mustAppend(t, transport, message("s", fmt.Sprintf("p%d", 2*i+1)))
			a := push.Ack{After: after, UpTo: second.Seq}
			if skip {
				a.Skipped = []push.Seq{first.Seq, second.Seq}
			}
			if err := transport.Ack(ctx, "s", a); err != nil {
				t.Fatal(err)
			}
			if d := lifetime(); d > 2*time.Minute {
				t.Fatalf("round %d: the mailbox lives for %s with history alone", i, d)
			}
			after = second.Seq
		}
	})
}

// TestRefusalsWaitForNoReplica: what is not stored needs none, and its publisher
// is told the reason though no replica is there.
func TestRefusalsWaitForNoReplica(t *testing.T) {
	t.Parallel()
	transport, _ := onServer(t, redisstream.Config{MailboxLen: 1, WaitReplicas: 1, WaitTimeout: 50 * time.Millisecond})
	want := func(id, key string, want error) {
		t.Helper()
		m := message("s", id)
		m.Replaces = key
		r, err := transport.Append(t.Context(), m)
		if want == nil && (err != nil || !r.Superseded) || !errors.Is(err, want) {
			t.Errorf("push %s: %+v, %v, want %v", id, r, err, want)
		}
	}
	if _, err := transport.Append(t.Context(), push.Message{ID: "end", Session: "s", Action: "Do", Replaces: "key", Final: true}); err == nil {
		t.Error("a push is accepted without a replica")
	}
	want("full", "", push.ErrMailboxFull)
	want("late", "key", nil)
	if err := transport.CloseSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	want("closed", "", push.ErrSessionClosed)
}
