package jobs_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// Any number of sessions may wait for one unique job: each gets its end once,
// also when some mailboxes refuse it at first, and of the next generation too.
func TestManyWaitForOneJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		const n = 450
		kind := define(jobs.Unique(time.Hour), jobs.MaxRetry(0))
		session := func(i int) string { return fmt.Sprintf("s%d", i) }
		var refuse atomic.Bool
		refuse.Store(true)
		k.OnPush(func(m push.Message) error {
			if refuse.Load() && (m.Session == session(7) || m.Session == session(303)) {
				return push.ErrMailboxFull
			}
			return nil
		}, nil)
		var id string
		for i := range n {
			for range 1 + i%2 { // some ask twice
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, jobs.Notify(k.Session(session(i)), jobs.OnDone("Done")))
				if err != nil {
					t.Fatalf("session %d: %v", i, err)
				}
				id = h.ID
			}
		}
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			time.Sleep(6 * time.Second) // heartbeats look at who waits
			return result{7}, nil
		})
		time.Sleep(time.Minute)
		refuse.Store(false)
		k.Wait(id)
		check := func(want int) {
			t.Helper()
			for i := range n {
				if got := len(k.Terminal(session(i), id)); got != want {
					t.Fatalf("session %d got %d ends, want %d", i, got, want)
				}
			}
		}
		check(1)
		if err := k.Client.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		k.Until("the second end", func() bool { return len(k.Terminal(session(n-1), id)) == 2 })
		k.Drain()
		check(2)
	})
}
