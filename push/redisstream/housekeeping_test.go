package redisstream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// TestOldPushesBecomeDeadLetters runs several housekeepers through hours.
func TestOldPushesBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := pushtest.NewRedis(t)
		cfg := redisstream.Config{Partitions: 1, MaxAge: 2 * time.Hour}
		transport := newTransport(t, store.Client(t), cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 3)
		for range cap(done) {
			keeper := newTransport(t, store.Client(t), cfg)
			go func() { done <- keeper.Run(ctx) }()
		}
		seqs := appendN(t, transport, "s", 4)
		// p0 is applied, p1 skipped, p2 and p3 wait; p3 in vain too, later.
		if err := transport.Ack(ctx, "s", push.Ack{UpTo: seqs[1], Skipped: seqs[1:2]}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		mustAppend(t, transport, message("s", "young"))
		time.Sleep(time.Hour + 2*time.Minute)
		list, err := transport.DeadLetters().List(ctx, push.DeadQuery{})
		if err != nil {
			t.Fatal(err)
		}
		want := []struct {
			id     string
			reason push.Reason
		}{{"p1", push.ReasonUnknownAction}, {"p2", push.ReasonExpired}, {"p3", push.ReasonExpired}}
		if len(list) != len(want) {
			t.Fatalf("%d dead letters, want %d", len(list), len(want))
		}
		for i, w := range want {
			if list[i].Entry.ID != w.id || list[i].Reason != w.reason {
				t.Errorf("dead letter %d: %s, %s; want %s, %s", i, list[i].Entry.ID, list[i].Reason, w.id, w.reason)
			}
		}
		if got := ids(mustRead(t, transport, 0)); got != "young" {
			t.Errorf("mailbox %q, want \"young\"", got)
		}
		stats, err := transport.Stats(ctx)
		if err != nil || stats.Sessions != 1 || stats.Pending != 1 || stats.DeadLetters != 3 {
			t.Errorf("stats %+v, %v, want one session with one push, three dead letters", stats, err)
		}
		time.Sleep(2 * time.Hour)
		if stats, err = transport.Stats(ctx); err != nil || stats.Sessions != 0 || stats.DeadLetters != 4 {
			t.Errorf("stats %+v, %v, want no session, four dead letters", stats, err)
		}
		cancel()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
}

// TestDeadLettersOfAllPartitionsInOneOrder pages through them.
func TestDeadLettersOfAllPartitionsInOneOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		ctx := t.Context()
		transport := newTransport(t, client, redisstream.Config{})
		const n = 40
		for i := range n {
			session := "session-" + push.NewID()
			r := mustAppend(t, transport, message(session, "p"))
			reason := push.ReasonError
			if i%4 == 0 {
				reason = push.ReasonPanic
			}
			if err := transport.DeadLetter(ctx, session, r.Seq, push.Failure{Reason: reason}); err != nil {
				t.Fatal(err)
			}
		}
		var q push.DeadQuery
		var got []push.DeadLetter
		for q.Limit = 7; ; {
			page, err := transport.DeadLetters().List(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			q.After = page[len(page)-1].ID
		}
		known := map[string]bool{}
		for i, d := range got {
			known[d.ID] = true
			if i > 0 && d.At.Before(got[i-1].At) {
				t.Errorf("dead letter %d is older than the one before", i)
			}
		}
		if len(got) != n || len(known) != n {
			t.Errorf("pages of 7 gave %d dead letters, %d different ones, want %d", len(got), len(known), n)
		}
		if purged, err := transport.DeadLetters().Purge(ctx, push.DeadQuery{Reason: push.ReasonPanic, Limit: 1}); err != nil || purged != n/4 {
			t.Errorf("purged %d, %v, want %d", purged, err, n/4)
		}
		if left, err := transport.DeadLetters().Count(ctx); err != nil || left != n-n/4 {
			t.Errorf("%d are left, %v, want %d", left, err, n-n/4)
		}
	})
}

// TestMailboxOfAnOpenPageOutlivesItsFirstPush: a session whose page is open,
// but acknowledges nothing, keeps what is young however long that goes on.
func TestMailboxOfAnOpenPageOutlivesItsFirstPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := redisstream.Config{Partitions: 1, MaxAge: 2 * time.Hour}
		transport := newTransport(t, pushtest.NewRedis(t).Client(t), cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- transport.Run(ctx) }()
		if _, err := transport.Attach(ctx, "node", "s", 0); err != nil {
			t.Fatal(err)
		}
		for i := range 54 { // 27 hours, one more than a mailbox is kept for
			if _, err := transport.Check(ctx, "node", []string{"s"}); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, transport, message("s", fmt.Sprintf("p%d", i)))
			time.Sleep(30 * time.Minute)
		}
		if got := ids(mustRead(t, transport, 0)); got != "p50 p51 p52 p53" {
			t.Errorf("mailbox %q, want what was appended in the last two hours", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestDamagedSessionsHoldUpNobody: somebody has put strings where some sessions'
// parked pushes belong. The others' pushes expire all the same.
func TestDamagedSessionsHoldUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := pushtest.NewRedis(t).Client(t)
		transport := newTransport(t, client, redisstream.Config{Partitions: 2, MaxAge: time.Hour})
		ctx := t.Context()
		const damaged, sound = 250, 50
		for i := range damaged + sound {
			session := fmt.Sprintf("s%d", i)
			mustAppend(t, transport, message(session, "p"))
			if i < damaged {
				meta := client.Keys(ctx, "lm:*:m:"+session).Val()[0]
				if err := client.Set(ctx, strings.Replace(meta, ":m:", ":k:", 1), "x", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(2 * time.Hour)
		if err := transport.Tidy(ctx); err == nil {
			t.Error("no error though sessions are damaged")
		}
		if n, err := transport.DeadLetters().Count(ctx); err != nil || n != sound {
			t.Errorf("%d dead letters, %v, want %d", n, err, sound)
		}
	})
}
