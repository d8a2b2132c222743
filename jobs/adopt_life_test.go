package jobs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// adopting starts a worker that runs the tasks of queues by h.
func adopting(k *jobstest.Kit, h asynq.HandlerFunc, queues ...string) *jobstest.Worker {
	return k.Start(jobs.PoolConfig{CheckInterval: checkEvery, DrainTimeout: 2 * time.Second}, func(p *jobs.Pool) {
		for _, q := range queues {
			p.Adopt(q, h)
		}
	})
}

// bound enqueues a task whose events session "s" gets.
func bound(t *testing.T, k *jobstest.Kit, opts ...asynq.Option) {
	t.Helper()
	task := jobs.Bind(asynq.NewTask("mail:x", []byte("x"), opts...), k.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed"),
		jobs.On("Stalled", jobs.StateStalled), jobs.On("Started", jobs.StateRunning))
	if _, err := asynq.NewClientFromRedisClient(k.Redis).EnqueueContext(t.Context(), task); err != nil {
		t.Fatal(err)
	}
}

func untilDone(ctx context.Context, _ *asynq.Task) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestBoundTaskIsCancelled(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var cause atomic.Value
		adopting(k, func(ctx context.Context, task *asynq.Task) error {
			err := untilDone(ctx, task)
			cause.Store(err)
			return err
		}, "legacy")
		bound(t, k, asynq.Queue("legacy"), asynq.TaskID("one"))
		k.WaitState("one", jobs.StateRunning)
		if err := k.Client.Cancel(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, k, "one", jobs.StateCancelled)
		if err, _ := cause.Load().(error); !errors.Is(err, jobs.ErrCancelled) {
			t.Errorf("the handler's context ended by %v", err)
		}
		k.Until("the task is gone", func() bool {
			_, err := k.Inspector().GetTaskInfo("legacy", "one")
			return errors.Is(err, asynq.ErrTaskNotFound)
		})
	})
}

// TestBoundTaskOfADeadWorker comes back as Asynq brings it; the page hears that it
// stalled, and of one end.
func TestBoundTaskOfADeadWorker(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		retries int
		state   jobs.State
		code    string
	}{"again": {3, jobs.StateCompleted, ""}, "the last attempt": {0, jobs.StateFailed, "crashed"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				dead := make(chan struct{})
				defer close(dead)
				first := adopting(k, func(context.Context, *asynq.Task) error { <-dead; return nil }, "legacy")
				bound(t, k, asynq.Queue("legacy"), asynq.TaskID("one"), asynq.MaxRetry(tt.retries))
				k.WaitState("one", jobs.StateRunning)
				first.Crash()
				adopting(k, func(context.Context, *asynq.Task) error { return nil }, "legacy")
				k.WaitState("one", jobs.StateStalled)
				if end := wantEnd(t, k, "one", tt.state); end.Event.Code != tt.code {
					t.Errorf("code = %q, want %q", end.Event.Code, tt.code)
				}
			})
		})
	}
}

// TestBoundTaskIsGivenBack by a worker that stops, uncharged, also in its last
// attempt.
func TestBoundTaskIsGivenBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		first := adopting(k, untilDone, "legacy")
		bound(t, k, asynq.Queue("legacy"), asynq.TaskID("one"), asynq.MaxRetry(0))
		k.WaitState("one", jobs.StateRunning)
		stop(t, first)
		if info, err := k.Inspector().GetTaskInfo("legacy", "one"); err != nil || info.State != asynq.TaskStatePending || info.Retried != 0 {
			t.Fatalf("task = %+v, %v, want it to wait uncharged", info, err)
		}
		adopting(k, func(context.Context, *asynq.Task) error { return nil }, "legacy")
		if end := wantEnd(t, k, "one", jobs.StateCompleted); end.Event.Attempt != 1 {
			t.Errorf("attempt = %d, want 1", end.Event.Attempt)
		}
	})
}

// TestOneTaskIDInSeveralPlaces: IDs that producers choose are unique in a queue
// only.
func TestOneTaskIDInSeveralPlaces(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		own := enqueue(t, k, kind, jobs.ID("daily"))
		adopting(k, func(context.Context, *asynq.Task) error { return nil }, "a", "b")
		bound(t, k, asynq.Queue("a"), asynq.TaskID("daily"))
		bound(t, k, asynq.Queue("b"), asynq.TaskID("daily"))
		wantEnd(t, k, "daily@a", jobs.StateCompleted)
		wantEnd(t, k, "daily@b", jobs.StateCompleted)
		bound(t, k, asynq.Queue("a"), asynq.TaskID("with~tilde"))
		start(k, kind, quick)
		wantEnd(t, k, own, jobs.StateCompleted)
		k.Until("all were told", func() bool {
			n := 0
			for _, action := range actions(k) {
				if action == "Done" {
					n++
				}
			}
			return n == 4
		})
	})
}

// TestBoundTaskComesAgain: an archived task that is run again, and one that its
// producer enqueues anew, are next generations with ends of their own.
func TestBoundTaskComesAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var ran atomic.Int32
		adopting(k, func(context.Context, *asynq.Task) error {
			if ran.Add(1) == 1 {
				return errLegacy
			}
			return nil
		}, "legacy")
		opts := []asynq.Option{asynq.Queue("legacy"), asynq.TaskID("one"), asynq.MaxRetry(0)}
		bound(t, k, opts...)
		wantEnd(t, k, "one", jobs.StateFailed)
		k.Until("it is archived", func() bool {
			info, err := k.Inspector().GetTaskInfo("legacy", "one")
			return err == nil && info.State == asynq.TaskStateArchived
		})
		if err := k.Client.Retry(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		ended := func(gen int) func() bool {
			return func() bool {
				info, err := k.Client.Get(t.Context(), "one")
				return err == nil && info.Gen == gen && info.State == jobs.StateCompleted && len(k.Terminal("s", "one")) == gen
			}
		}
		k.Until("its second generation completes", ended(2))
		if err := k.Client.Retry(t.Context(), "one"); !errors.Is(err, jobs.ErrEnded) {
			t.Errorf("Retry of what Asynq has no more = %v", err)
		}
		bound(t, k, opts...)
		k.Until("its third generation completes", ended(3))
	})
}

// TestBoundTaskVanishes: one that an operator deletes while it waits is lost.
func TestBoundTaskVanishes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		adopting(k, func(context.Context, *asynq.Task) error { return errLegacy }, "legacy")
		bound(t, k, asynq.Queue("legacy"), asynq.TaskID("one"), asynq.MaxRetry(50))
		k.WaitState("one", jobs.StateRetrying)
		k.Until("it is deleted", func() bool { return k.Inspector().DeleteTask("legacy", "one") == nil })
		wantEnd(t, k, "one", jobs.StateLost)
	})
}

func TestInvalidAdoptions(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		for name, adopt := range map[string]func(*jobs.Pool){
			"no queue":    func(p *jobs.Pool) { p.Adopt(" ", asynq.HandlerFunc(untilDone)) },
			"no handler":  func(p *jobs.Pool) { p.Adopt("q", nil) },
			"our queue":   func(p *jobs.Pool) { p.Adopt("lm.default", asynq.HandlerFunc(untilDone)) },
			"two configs": func(p *jobs.Pool) { p.Adopt("q", asynq.HandlerFunc(untilDone), asynq.Config{}, asynq.Config{}) },
		} {
			pool, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{})
			if err != nil {
				t.Fatal(err)
			}
			adopt(pool)
			if err := pool.Run(t.Context()); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%s: Run = %v, want ErrInvalid", name, err)
			}
		}
	})
}
