package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

func TestCancelInEveryState(t *testing.T) {
	t.Parallel()
	obedient := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), jobs.ErrCancelled) {
			return result{}, errors.New("wrong cause")
		}
		return result{}, context.Cause(ctx)
	}
	for _, tt := range []struct {
		name  string
		state jobs.State
		opts  []jobs.Option
		h     handler // nil: no worker
	}{
		{"pending", jobs.StateQueued, nil, nil},
		{"scheduled", jobs.StateScheduled, []jobs.Option{jobs.ProcessIn(3 * time.Minute)}, quick},
		{"retrying", jobs.StateRetrying, []jobs.Option{jobs.RetryBackoff(3*time.Minute, 3*time.Minute)}, func(context.Context, *jobs.Job[args]) (result, error) { return result{}, errBoom }},
		{"snoozed", jobs.StateScheduled, nil, func(context.Context, *jobs.Job[args]) (result, error) {
			return result{}, jobs.Snooze(3 * time.Minute)
		}},
		{"running", jobs.StateRunning, nil, obedient},
		{"running and failing", jobs.StateRunning, nil, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{}, errBoom
		}},
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
				id := enqueue(t, k, kind, tt.opts...)
				k.WaitState(id, tt.state)
				asked := time.Now()
				for range 2 { // it may be repeated
					if err := k.Client.Cancel(t.Context(), id); err != nil {
						t.Fatalf("Cancel: %v", err)
					}
				}
				wantEnd(t, k, id, jobs.StateCancelled)
				if d := time.Since(asked); d > 5*time.Second {
					t.Errorf("cancelled after %v", d)
				}
				if tt.h == nil {
					start(k, kind, quick)
				}
				time.Sleep(4 * time.Minute)
				wantEnd(t, k, id, jobs.StateCancelled)
			})
		})
	}
}

func TestCancelWithALostMessage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		})
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		k.Outage(time.Second) // the subscription is gone for a moment
		if err := k.Client.Cancel(t.Context(), id); err != nil {
			t.Fatalf("Cancel: %v", err)
		}
		asked := time.Now()
		wantEnd(t, k, id, jobs.StateCancelled)
		if d := time.Since(asked); d > 5*time.Second {
			t.Errorf("cancelled after %v, want at most a heartbeat", d)
		}
	})
}

func TestCancelWhenTheWorkerIsDead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		var ran atomic.Int32
		h := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			ran.Add(1)
			<-ctx.Done()
			return result{}, ctx.Err()
		}
		first := start(k, kind, h)
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		first.Crash()
		start(k, kind, h)
		if err := k.Client.Cancel(t.Context(), id); err != nil {
			t.Fatalf("Cancel: %v", err)
		}
		wantEnd(t, k, id, jobs.StateCancelled)
		time.Sleep(5 * time.Minute)
		wantEnd(t, k, id, jobs.StateCancelled)
		if ran.Load() != 1 {
			t.Errorf("ran %d times, want 1", ran.Load())
		}
	})
}

func TestCancelErrors(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, quick)
		if err := k.Client.Cancel(t.Context(), "nobody"); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("Cancel of nothing = %v, want ErrNotFound", err)
		}
		id := enqueue(t, k, kind)
		wantEnd(t, k, id, jobs.StateCompleted)
		if err := k.Client.Cancel(t.Context(), id); !errors.Is(err, jobs.ErrEnded) {
			t.Errorf("Cancel of a completed job = %v, want ErrEnded", err)
		}
		wantEnd(t, k, id, jobs.StateCompleted)
	})
}

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	t.Run("waits for handlers", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			w := start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
				<-j.Draining()
				time.Sleep(10 * time.Second)
				return result{7}, nil
			})
			id := enqueue(t, k, kind)
			k.WaitState(id, jobs.StateRunning)
			if err := w.Stop(); err != nil {
				t.Fatalf("Run = %v", err)
			}
			wantEnd(t, k, id, jobs.StateCompleted)
		})
	})
	for _, tt := range []struct {
		name string
		deaf bool
	}{{"gives unfinished jobs back", false}, {"gives jobs of deaf handlers back", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(0))
				w := start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
					if tt.deaf {
						time.Sleep(5 * time.Minute)
					}
					<-ctx.Done()
					if !errors.Is(context.Cause(ctx), jobs.ErrShutdown) {
						t.Errorf("cause = %v, want ErrShutdown", context.Cause(ctx))
					}
					return result{}, context.Cause(ctx)
				})
				id := enqueue(t, k, kind)
				k.WaitState(id, jobs.StateRunning)
				asked := time.Now()
				if err := w.Stop(); err != nil {
					t.Fatalf("Run = %v", err)
				}
				if d := time.Since(asked); d > 40*time.Second {
					t.Errorf("stopped after %v", d)
				}
				start(k, kind, quick)
				end := wantEnd(t, k, id, jobs.StateCompleted)
				if end.Event.Attempt != 1 {
					t.Errorf("attempt = %d, want 1: a stop is no failure", end.Event.Attempt)
				}
				if got := actions(k); slices.Contains(got, "Retrying") || slices.Contains(got, "Failed") {
					t.Errorf("events = %v, want no failure", got)
				}
				time.Sleep(5 * time.Minute)
			})
		})
	}
}

func TestSnoozeAtTheLimit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		var ran atomic.Int32
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			if ran.Add(1) <= 5 {
				return result{}, jobs.Snooze(time.Minute)
			}
			return result{j.Attempt}, nil
		})
		begun := time.Now()
		end := wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
		if ran.Load() != 6 || end.Event.Attempt != 1 {
			t.Errorf("ran %d times, attempt %d, want 6 and 1", ran.Load(), end.Event.Attempt)
		}
		if d := time.Since(begun); d < 5*time.Minute-5*time.Second {
			t.Errorf("five snoozes of a minute took %v", d)
		}
	})
}
