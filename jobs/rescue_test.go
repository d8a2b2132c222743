package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

const leases = "asynq:{lm.default}:lease"

// The lease runs out under a handler that goes on, deaf to everything: the job
// runs again, and the first execution has no say when it comes back.
func TestOutageWhileADeafHandlerRuns(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(3))
		var ran atomic.Int32
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			if ran.Add(1) == 1 {
				time.Sleep(4 * time.Minute)
				return result{}, errors.New("too late to matter")
			}
			return result{j.Attempt}, nil
		})
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		k.Outage(45 * time.Second)
		if end := wantEnd(t, k, id, jobs.StateCompleted); end.Event.Attempt != 2 {
			t.Errorf("attempt = %d, want 2", end.Event.Attempt)
		}
		time.Sleep(5 * time.Minute)
		wantEnd(t, k, id, jobs.StateCompleted)
	})
}

// A clock that is wrong, or a pause, makes another node take a task that still
// runs: the older execution is told, and what it returns does not count.
func TestStolenTask(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		var ran, told atomic.Int32
		h := func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			if ran.Add(1) > 1 {
				return result{j.Attempt}, nil
			}
			<-ctx.Done()
			told.Add(1)
			return result{}, jobs.Discard(errBoom)
		}
		start(k, kind, h)
		start(k, kind, h)
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		k.Until("the task is taken", func() bool {
			past := redis.Z{Score: float64(time.Now().Add(-2 * time.Minute).Unix()), Member: id}
			if err := k.Redis.ZAddXX(t.Context(), leases, past).Err(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			return ran.Load() > 1
		})
		wantEnd(t, k, id, jobs.StateCompleted)
		k.Until("the older execution ends", func() bool { return told.Load() == 1 })
		time.Sleep(3 * time.Minute)
		wantEnd(t, k, id, jobs.StateCompleted)
	})
}

// Faults of Asynq's bookkeeping that it never finds by itself.
func TestBrokenBookkeeping(t *testing.T) {
	t.Parallel()
	t.Run("an active task without a lease", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			first := start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
				<-ctx.Done()
				return result{}, ctx.Err()
			})
			id := enqueue(t, k, kind)
			k.WaitState(id, jobs.StateRunning)
			first.Crash()
			if n, err := k.Redis.ZRem(t.Context(), leases, id).Result(); err != nil || n != 1 {
				t.Fatalf("no lease removed: %d, %v", n, err)
			}
			start(k, kind, quick)
			k.WaitState(id, jobs.StateStalled)
			wantEnd(t, k, id, jobs.StateCompleted)
		})
	})
	t.Run("a queued ID without its task", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			id := enqueue(t, k, kind) // no worker yet
			if err := k.Redis.Del(t.Context(), "asynq:{lm.default}:t:"+id).Err(); err != nil {
				t.Fatal(err)
			}
			start(k, kind, quick)
			wantEnd(t, k, id, jobs.StateLost)
			wantEnd(t, k, enqueueAs(t, k, kind, "next"), jobs.StateCompleted)
		})
	})
	t.Run("everything gone under a running job", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			var ended atomic.Bool
			start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
				if j.Args.Name == "a" {
					time.Sleep(10 * time.Second)
					ended.Store(true)
				}
				return result{7}, nil
			})
			id := enqueue(t, k, kind)
			k.WaitState(id, jobs.StateRunning)
			if err := k.Redis.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			k.Until("the handler ends", ended.Load)
			if _, err := k.Client.Get(t.Context(), id); !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("a job of an emptied store: %v, want ErrNotFound", err)
			}
			wantEnd(t, k, enqueueAs(t, k, kind, "next"), jobs.StateCompleted)
		})
	})
}

// A record that nobody can read does not keep the watchdog from the others.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		var first []string
		for len(first) == 0 { // one that is looked at before the other
			var err error
			enqueue(t, k, kind)
			if first, err = k.Client.OpenJobs(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		lost := enqueueAs(t, k, kind, "lost")
		for slices.Contains(first, lost) {
			lost = enqueueAs(t, k, kind, "lost")
		}
		if err := k.Inspector().DeleteTask("lm.default", lost); err != nil {
			t.Fatal(err)
		}
		keys, err := k.Redis.Keys(t.Context(), "*:r:"+first[0]).Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("records of %s: %v, %v", first[0], keys, err)
		}
		if err := k.Redis.HSet(t.Context(), keys[0], "att", "many").Err(); err != nil {
			t.Fatal(err)
		}
		start(k, jobs.Define[args, result]("test.other"), quick)
		wantEnd(t, k, lost, jobs.StateLost)
	})
}

// enqueueAs enqueues for session "s" with an argument of its own.
func enqueueAs(t *testing.T, k *jobstest.Kit, kind *jobs.Kind[args, result], name string) string {
	t.Helper()
	h, err := kind.With(k.Client).Enqueue(t.Context(), args{name}, notify(k))
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return h.ID
}
