package jobs_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// timed works for d.
func timed(d time.Duration) handler {
	return func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		select {
		case <-ctx.Done():
			return result{}, context.Cause(ctx)
		case <-time.After(d):
			return result{j.Attempt}, nil
		}
	}
}

// within checks how long something took.
func within(t *testing.T, what string, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Errorf("%s after %v, want %v to %v", what, took, least, most)
	}
}

// clockLives are lives of jobs whose course time decides.
func clockLives() map[string]func(t *testing.T, k *jobstest.Kit) {
	return map[string]func(t *testing.T, k *jobstest.Kit){
		"longer than every lease": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define(jobs.MaxRetry(0))
			start(k, kind, timed(150*time.Second))
			start(k, kind, timed(150*time.Second))
			id := enqueue(t, k, kind)
			wantEnd(t, k, id, jobs.StateCompleted)
			if got := actions(k); !slices.Equal(got, []string{"Queued", "Started", "Done"}) {
				t.Errorf("told %v", got)
			}
		},
		"put off": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			var began time.Time
			kind := define()
			start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
				began = time.Now()
				return result{}, nil
			})
			made := time.Now()
			id := enqueue(t, k, kind, jobs.ProcessIn(90*time.Second))
			wantEnd(t, k, id, jobs.StateCompleted)
			within(t, "started", began.Sub(made), 90*time.Second, 92*time.Second)
		},
		"put off without a session": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			start(k, kind, timed(0))
			made := time.Now()
			h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, jobs.ProcessIn(90*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			k.Wait(h.ID)
			within(t, "ended", time.Since(made), 90*time.Second, 95*time.Second)
		},
		"tried again": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			var begins []time.Time
			kind := define(jobs.MaxRetry(3), jobs.RetryBackoff(20*time.Second, 20*time.Second))
			start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
				if begins = append(begins, time.Now()); j.Attempt < 3 {
					return result{}, errors.New("no luck")
				}
				return result{}, nil
			})
			id := enqueue(t, k, kind)
			if end := wantEnd(t, k, id, jobs.StateCompleted); end.Event.Attempt != 3 {
				t.Errorf("attempt %d", end.Event.Attempt)
			}
			for i := range len(begins) - 1 {
				within(t, "tried again", begins[i+1].Sub(begins[i]), time.Second, 25*time.Second)
			}
		},
		"under a limit": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			var now, most atomic.Int32
			kind := define(jobs.Concurrency("tenant", 1), jobs.MaxRetry(0))
			for range 2 {
				start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					time.Sleep(40 * time.Second)
					return result{}, nil
				})
			}
			since := time.Now()
			ids := []string{enqueue(t, k, kind), enqueue(t, k, kind), enqueue(t, k, kind)}
			for _, id := range ids {
				wantEnd(t, k, id, jobs.StateCompleted)
			}
			if most.Load() != 1 {
				t.Errorf("%d at a time", most.Load())
			}
			within(t, "all done", time.Since(since), 2*time.Minute, 130*time.Second)
		},
		"at a rate": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define(jobs.RateLimit("api", 1, 30*time.Second))
			var begins []time.Time
			start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
				begins = append(begins, time.Now())
				return result{}, nil
			})
			for range 3 {
				enqueue(t, k, kind)
			}
			k.Drain()
			within(t, "all began", begins[len(begins)-1].Sub(begins[0]), 59*time.Second, 70*time.Second)
		},
		"asked to come back": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			var begins []time.Time
			kind := define()
			start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
				if begins = append(begins, time.Now()); len(begins) == 1 {
					return result{}, jobs.Snooze(time.Minute)
				}
				return result{}, nil
			})
			wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
			within(t, "began again", begins[1].Sub(begins[0]), time.Minute, 62*time.Second)
		},
		"a caller leaves first": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			gone, leave := context.WithCancel(t.Context())
			leave()
			kind := define()
			if _, err := kind.With(k.Client).Enqueue(gone, args{"a"}); err == nil {
				t.Error("enqueued for who has left")
			}
			made := time.Now()
			start(k, kind, timed(0))
			id := enqueue(t, k, kind, jobs.ProcessIn(90*time.Second))
			wantEnd(t, k, id, jobs.StateCompleted)
			within(t, "ended", time.Since(made), 90*time.Second, 95*time.Second)
		},
		"its worker dies": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define(jobs.MaxRetry(5))
			first := start(k, kind, timed(20*time.Second))
			id := enqueue(t, k, kind)
			k.WaitState(id, jobs.StateRunning)
			start(k, kind, timed(20*time.Second))
			time.Sleep(7 * time.Second)
			first.Crash()
			since := time.Now()
			wantEnd(t, k, id, jobs.StateCompleted)
			within(t, "ended", time.Since(since), 20*time.Second, time.Minute)
			if got := actions(k); !slices.Equal(got, []string{"Queued", "Started", "Stalled", "Started", "Done"}) {
				t.Errorf("told %v", got)
			}
		},
		"waits for a worker": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			other := jobs.Define[args, result]("test.other", jobs.Queue("elsewhere"))
			k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) { other.Handle(p, timed(0)) })
			kind := define()
			id := enqueue(t, k, kind)
			time.Sleep(4 * time.Minute)
			start(k, kind, timed(0))
			wantEnd(t, k, id, jobs.StateCompleted)
			if got := actions(k); !slices.Equal(got, []string{"Queued", "Started", "Done"}) {
				t.Errorf("told %v", got)
			}
		},
		"cancelled while it waits": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			start(k, kind, timed(0))
			id := enqueue(t, k, kind, jobs.ProcessIn(time.Hour))
			if err := k.Client.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			wantEnd(t, k, id, jobs.StateCancelled)
		},
		"one of its kind": func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define(jobs.Unique(90*time.Second, "a"))
			start(k, kind, timed(0))
			for _, tt := range []struct {
				wait     time.Duration
				existing bool
			}{{0, false}, {60 * time.Second, true}, {40 * time.Second, false}} {
				k.Drain()
				time.Sleep(tt.wait)
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"})
				if err != nil || h.Existing != tt.existing {
					t.Errorf("%v later: there is one %t (%v), want %t", tt.wait, h.Existing, err, tt.existing)
				}
			}
			k.Drain()
		},
	}
}

// TestClocksApart: whatever is stored with a time and judged by it later is
// Redis's time. The clock of the process may be minutes off.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for i, name := range slices.Sorted(maps.Keys(clockLives())) {
		live := clockLives()[name]
		little := 30 * time.Second
		if i%2 == 1 {
			little = -little
		}
		for _, by := range []time.Duration{-2 * time.Minute, little, 2 * time.Minute} {
			t.Run(name+"/"+by.String(), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					k.RedisAhead(by)
					live(t, k)
				})
			})
		}
	}
}
