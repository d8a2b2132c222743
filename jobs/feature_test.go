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

func TestUnique(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0), jobs.Unique(10*time.Minute))
		bound := kind.With(k.Client)
		var ran atomic.Int32
		var broken atomic.Bool
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			time.Sleep(5 * time.Second)
			if ran.Add(1); broken.Load() {
				return result{}, errBoom
			}
			return result{7}, nil
		})
		ask := func(session string) jobs.Handle {
			t.Helper()
			h, err := bound.Enqueue(t.Context(), args{"same"}, notifyAs(k, session))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		first := ask("s")
		k.WaitState(first.ID, jobs.StateRunning)
		second := ask("watcher")
		third := ask("watcher") // asking twice is one watcher
		if second.ID != first.ID || !second.Existing || third.ID != first.ID {
			t.Errorf("handles %+v %+v %+v, want one job", first, second, third)
		}
		wantEnd(t, k, first.ID, jobs.StateCompleted)
		if n := len(k.Terminal("watcher", first.ID)); n != 1 || ran.Load() != 1 {
			t.Errorf("the watcher got %d ends, the handler ran %d times", n, ran.Load())
		}
		late := ask("late") // still counts: the end is told at once
		if late.State != jobs.StateCompleted || len(k.Terminal("late", first.ID)) != 1 {
			t.Errorf("late = %+v with %d ends", late, len(k.Terminal("late", first.ID)))
		}
		time.Sleep(11 * time.Minute)
		broken.Store(true)
		if h := ask("s"); h.Gen != 2 || h.Existing {
			t.Errorf("after the window: %+v, want generation 2", h)
		}
		if info := k.Wait(first.ID); info.State != jobs.StateFailed {
			t.Errorf("state = %s", info.State)
		}
		broken.Store(false)
		if h := ask("s"); h.Gen != 3 || h.Existing {
			t.Errorf("after a failure: %+v, want generation 3", h)
		}
		k.Wait(first.ID)
		if n := len(k.Terminal("s", first.ID)); n != 3 {
			t.Errorf("the owner got %d ends, want one for each generation", n)
		}
		if n := len(k.Terminal("watcher", first.ID)); n != 1 {
			t.Errorf("the watcher of generation 1 got %d ends, want 1", n)
		}
	})
}

// Who asked for a unique job before does not hear of one that others ask for
// later, whether they want to hear of it or not.
func TestUniqueMadeAnewForgetsItsWatchers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Unique(time.Minute))
		start(k, kind, quick)
		id := enqueue(t, k, kind)
		wantEnd(t, k, id, jobs.StateCompleted)
		time.Sleep(5 * time.Minute)
		if h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}); err != nil || h.ID != id || h.Gen != 2 {
			t.Fatalf("Enqueue = %+v, %v, want generation 2", h, err)
		}
		k.Drain()
		wantEnd(t, k, id, jobs.StateCompleted)
		if got := actions(k); len(got) != 3 {
			t.Errorf("events = %v, want those of the first one", got)
		}
	})
}

func TestDelayed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		var at atomic.Int64
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			at.Store(time.Now().UnixNano())
			return result{7}, nil
		})
		for name, delay := range map[string]func(time.Time) jobs.Option{
			"ProcessAt": jobs.ProcessAt,
			"ProcessIn": func(due time.Time) jobs.Option { return jobs.ProcessIn(time.Until(due)) },
		} {
			due := time.Now().Add(90*time.Second + 300*time.Millisecond)
			opt := delay(due)
			id := enqueue(t, k, kind, opt)
			if info, err := k.Client.Get(t.Context(), id); err != nil || info.State != jobs.StateScheduled || info.NextAt.IsZero() {
				t.Errorf("%s: %+v, %v, want scheduled", name, info, err)
			}
			wantEnd(t, k, id, jobs.StateCompleted)
			if late := time.Unix(0, at.Load()).Sub(due); late < 0 || late > 4*time.Second {
				t.Errorf("%s: started %v after its time", name, late)
			}
		}
	})
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		var seen []string
		wrap := func(name string) jobs.Middleware[[]byte] {
			return func(next func(context.Context, *jobs.Work) ([]byte, error)) func(context.Context, *jobs.Work) ([]byte, error) {
				return func(ctx context.Context, w *jobs.Work) ([]byte, error) {
					seen = append(seen, name+" "+w.Queue)
					return next(ctx, w)
				}
			}
		}
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Queues: map[string]int{"other": 1}, Work: []jobs.Middleware[[]byte]{wrap("outer"), wrap("inner")}},
			func(p *jobs.Pool) { kind.Handle(p, quick) })
		id := enqueue(t, k, kind)
		wantEnd(t, k, id, jobs.StateCompleted)
		if !slices.Equal(seen, []string{"outer other", "inner other"}) {
			t.Errorf("middleware saw %v", seen)
		}
		_, err := kind.With(k.Client).Enqueue(t.Context(), args{"refused"})
		if !errors.Is(err, errBoom) {
			t.Errorf("Enqueue = %v, want the middleware's error", err)
		}
	}
	inBubble(t, func(t *testing.T) {
		t.Helper()
		check(t, jobstest.New(t, func(next func(context.Context, *jobs.Work) (jobs.Handle, error)) func(context.Context, *jobs.Work) (jobs.Handle, error) {
			return func(ctx context.Context, e *jobs.Work) (jobs.Handle, error) {
				if string(e.Args) == `{"name":"refused"}` {
					return jobs.Handle{}, errBoom
				}
				e.Queue = "other"
				return next(ctx, e)
			}
		}))
	})
}

func TestQueues(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]bool{"weighted": false, "strict": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				const each = 40
				kind := define()
				for range each {
					enqueue(t, k, kind, jobs.Queue("default"))
					enqueue(t, k, kind, jobs.Queue("critical"))
				}
				var order []string
				see := func(next func(context.Context, *jobs.Work) ([]byte, error)) func(context.Context, *jobs.Work) ([]byte, error) {
					return func(ctx context.Context, w *jobs.Work) ([]byte, error) {
						order = append(order, w.Queue) // one at a time
						return next(ctx, w)
					}
				}
				cfg := jobs.PoolConfig{
					Concurrency: 1, Strict: strict, Queues: map[string]int{"critical": 6, "default": 1}, Work: []jobs.Middleware[[]byte]{see},
				}
				k.Start(cfg, func(p *jobs.Pool) { kind.Handle(p, quick) })
				k.Drain()
				n := 0
				for _, q := range order[:each] {
					if q == "critical" {
						n++
					}
				}
				// Six of seven on average, while both have some.
				if least := map[bool]int{false: each * 6 / 10, true: each}[strict]; n < least || len(order) != 2*each {
					t.Errorf("%d of the first %d jobs are critical, want at least %d; %d ran", n, each, least, len(order))
				}
			})
		})
	}
}
