package jobs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// plain enqueues a job that nobody but its ID knows of.
func plain(t *testing.T, k *jobstest.Kit, kind *jobs.Kind[args, result], opts ...jobs.Option) string {
	t.Helper()
	h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...)
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return h.ID
}

func wantState(t *testing.T, k *jobstest.Kit, id string, want jobs.State) jobs.Info {
	t.Helper()
	info := k.Wait(id)
	if info.State != want {
		t.Errorf("state = %s (%s %s), want %s", info.State, info.Code, info.Error, want)
	}
	return info
}

func TestPlainJobs(t *testing.T) {
	t.Parallel()
	stuck := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
		<-ctx.Done()
		return result{}, context.Cause(ctx)
	}
	for _, tt := range []struct {
		name    string
		opts    []jobs.Option
		h       handler
		state   jobs.State
		attempt int
		code    string
	}{
		{"completes", nil, quick, jobs.StateCompleted, 1, ""},
		{"runs for long", nil, func(context.Context, *jobs.Job[args]) (result, error) {
			time.Sleep(30 * time.Second)
			return result{7}, nil
		}, jobs.StateCompleted, 1, ""},
		{"fails and completes", nil, failOnce(), jobs.StateCompleted, 2, ""},
		{"fails for good", []jobs.Option{jobs.MaxRetry(2)}, fail, jobs.StateFailed, 3, "error"},
		{"has no retry", []jobs.Option{jobs.MaxRetry(0)}, fail, jobs.StateFailed, 1, "error"},
		{"is discarded", nil, func(context.Context, *jobs.Job[args]) (result, error) {
			return result{}, jobs.Discard(jobs.UserError("sorry", "no"))
		}, jobs.StateFailed, 1, "sorry"},
		{"panics", []jobs.Option{jobs.MaxRetry(0)}, func(context.Context, *jobs.Job[args]) (result, error) { panic("x") }, jobs.StateFailed, 1, "panic"},
		{"times out", []jobs.Option{jobs.MaxRetry(1), jobs.Timeout(2 * time.Second)}, stuck, jobs.StateFailed, 2, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				var ran atomic.Int32
				kind := define(tt.opts...)
				start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
					ran.Add(1)
					return tt.h(ctx, j)
				})
				id := plain(t, k, kind)
				info := wantState(t, k, id, tt.state)
				if info.Attempt != tt.attempt || info.Code != tt.code || string(info.Args) != `{"name":"a"}` || info.Created.IsZero() || info.Ended.IsZero() {
					t.Errorf("info = %+v, want attempt %d, code %q", info, tt.attempt, tt.code)
				}
				time.Sleep(3 * time.Minute)
				task, err := k.Inspector().GetTaskInfo("lm.default", id)
				if tt.state == jobs.StateFailed {
					if err != nil || task.LastErr == "" {
						t.Errorf("task = %+v, %v, want it in the archive with its reason", task, err)
					} else if err := k.Inspector().RunTask("lm.default", id); err != nil {
						t.Error(err)
					}
				} else if err == nil {
					t.Errorf("task is %s, want it gone", task.State)
				}
				time.Sleep(time.Minute)
				if n := int(ran.Load()); n != tt.attempt {
					t.Errorf("ran %d times, want %d", n, tt.attempt)
				}
				wantState(t, k, id, tt.state)
				if err := k.Client.Retry(t.Context(), id); err != nil {
					t.Fatalf("Retry: %v", err)
				}
				if info := k.Wait(id); info.Gen != 2 {
					t.Errorf("generation %d after Retry, want 2", info.Gen)
				}
			})
		})
	}
}

func TestPlainJobBeforeItHasARecord(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		id, later := plain(t, k, kind), plain(t, k, kind, jobs.ProcessIn(time.Minute))
		if info := k.WaitState(id, jobs.StateQueued); info.Attempts != 11 || info.Kind != "test.work" || info.Gen != 1 {
			t.Errorf("info = %+v", info)
		}
		if info := k.WaitState(later, jobs.StateScheduled); info.NextAt.IsZero() {
			t.Errorf("info = %+v, want when it is due", info)
		}
		if err := k.Client.Retry(t.Context(), id); !errors.Is(err, jobs.ErrOpen) {
			t.Errorf("Retry of a queued job = %v, want ErrOpen", err)
		}
		if n := k.Redis.Exists(t.Context(), "lm:jobs:{j0}:open").Val(); n != 0 {
			t.Error("a plain job is in the watchdog's list")
		}
		if err := k.Inspector().ArchiveTask("lm.default", id); err != nil {
			t.Fatal(err)
		}
		if info := k.WaitState(id, jobs.StateFailed); info.Code != "archived" {
			t.Errorf("info = %+v", info)
		}
		if err := k.Client.Cancel(t.Context(), id); !errors.Is(err, jobs.ErrEnded) {
			t.Errorf("Cancel of an archived job = %v, want ErrEnded", err)
		}
		k.WaitState(id, jobs.StateFailed)
		if err := k.Client.Retry(t.Context(), id); err != nil {
			t.Errorf("Retry of an archived job = %v", err)
		}
		start(k, kind, quick)
		wantState(t, k, id, jobs.StateCompleted)
		wantState(t, k, later, jobs.StateCompleted)
		if err := k.Client.Cancel(t.Context(), id); !errors.Is(err, jobs.ErrEnded) {
			t.Errorf("Cancel of a completed job = %v, want ErrEnded", err)
		}
	})
}

func TestPlainJobCancelled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		state jobs.State
		opts  []jobs.Option
		h     handler // nil: no worker
	}{
		{"pending", jobs.StateQueued, nil, nil},
		{"scheduled", jobs.StateScheduled, []jobs.Option{jobs.ProcessIn(3 * time.Minute)}, quick},
		{"retrying", jobs.StateRetrying, []jobs.Option{jobs.RetryBackoff(3*time.Minute, 3*time.Minute)}, fail},
		{"running and completing", jobs.StateRunning, nil, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{1}, nil
		}},
		{"running and deaf", jobs.StateRunning, nil, func(context.Context, *jobs.Job[args]) (result, error) {
			time.Sleep(time.Minute)
			return result{1}, nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define()
				if tt.h != nil {
					start(k, kind, tt.h)
				}
				id := plain(t, k, kind, tt.opts...)
				k.WaitState(id, tt.state)
				time.Sleep(time.Second) // the worker listens
				asked := time.Now()
				for range 2 {
					if err := k.Client.Cancel(t.Context(), id); err != nil {
						t.Fatalf("Cancel: %v", err)
					}
				}
				wantState(t, k, id, jobs.StateCancelled)
				if d := time.Since(asked); d > 5*time.Second {
					t.Errorf("cancelled after %v", d)
				}
				if tt.h == nil {
					start(k, kind, quick)
				}
				time.Sleep(4 * time.Minute)
				wantState(t, k, id, jobs.StateCancelled)
			})
		})
	}
}

func TestPlainJobWhoseWorkerCrashes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		after time.Duration
		retry int
		state jobs.State
		runs  int32
	}{
		{"before it has a record", time.Second, 3, jobs.StateCompleted, 2},
		{"with a record", 9 * time.Second, 3, jobs.StateCompleted, 2},
		{"on the last attempt, before it has a record", time.Second, 0, jobs.StateCompleted, 2},
		{"on the last attempt, with a record", 9 * time.Second, 0, jobs.StateCompleted, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(tt.retry))
				var ran atomic.Int32
				h := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
					if ran.Add(1) == 1 {
						<-ctx.Done()
					}
					return result{7}, ctx.Err()
				}
				first := start(k, kind, h)
				id := plain(t, k, kind)
				k.WaitState(id, jobs.StateRunning)
				time.Sleep(tt.after)
				first.Crash()
				start(k, kind, h)
				if info := wantState(t, k, id, tt.state); info.Attempt != 1 {
					t.Errorf("attempt = %d, want 1: a death is none", info.Attempt)
				}
				time.Sleep(5 * time.Minute)
				if ran.Load() != tt.runs {
					t.Errorf("ran %d times, want %d", ran.Load(), tt.runs)
				}
			})
		})
	}
}

func TestPlainJobGivenBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		w := start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{}, context.Cause(ctx)
		})
		id := plain(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		if err := w.Stop(); err != nil {
			t.Fatalf("Run = %v", err)
		}
		start(k, kind, quick)
		if info := wantState(t, k, id, jobs.StateCompleted); info.Attempt != 1 {
			t.Errorf("attempt = %d, want 1: a stop is no failure", info.Attempt)
		}
	})
}
