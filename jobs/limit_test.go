package jobs_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	t.Run("concurrency", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define(jobs.Concurrency("tenant", 2), jobs.MaxRetry(0))
			var now, most atomic.Int32
			for range 2 {
				start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					for range 40 { // longer than a lease
						time.Sleep(time.Second)
						j.Progress(0.5, "")
					}
					return result{j.Attempt}, nil
				})
			}
			ids := make([]string, 6)
			for i := range ids {
				ids[i] = enqueue(t, k, kind)
			}
			for _, id := range ids {
				if end := wantEnd(t, k, id, jobs.StateCompleted); end.Event.Attempt != 1 {
					t.Errorf("attempt = %d: waiting for a place is no attempt", end.Event.Attempt)
				}
			}
			if most.Load() != 2 {
				t.Errorf("%d at a time, want 2", most.Load())
			}
		})
	})
	t.Run("rate", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define(jobs.RateLimit("api", 5, 10*time.Second))
			var mu sync.Mutex
			var starts []time.Time
			start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
				mu.Lock()
				defer mu.Unlock()
				starts = append(starts, time.Now())
				return result{7}, nil
			})
			for range 20 {
				enqueue(t, k, kind)
			}
			k.Drain()
			for i := range starts[:len(starts)-9] {
				// 5 at once and one each 2 seconds: never 10 within 8 seconds.
				if d := starts[i+9].Sub(starts[i]); d < 8*time.Second {
					t.Errorf("10 starts within %v", d)
				}
			}
			if len(starts) != 20 {
				t.Errorf("%d starts, want 20", len(starts))
			}
		})
	})
}

// A job that finds no place gives back nothing that it cannot: the tokens of a
// rate limit go to jobs that start.
func TestLimitsTogether(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.RateLimit("", 10, 10*time.Second), jobs.Concurrency("", 1))
		var ran atomic.Int32
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			ran.Add(1)
			time.Sleep(time.Second)
			return result{7}, nil
		})
		for range 20 {
			enqueue(t, k, kind)
		}
		begun := time.Now()
		k.Drain()
		// One after the other, ten at once and one each second.
		if took := time.Since(begun); took > time.Minute || ran.Load() != 20 {
			t.Errorf("%d jobs in %v, want 20 within a minute", ran.Load(), took)
		}
	})
}

// Nor does one that has to wait for its own token take the tokens that others
// share with it.
func TestRateLimitsTogether(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, quick)
		shared := jobs.RateLimit("api", 10, time.Minute)
		for range 10 { // one of them starts, the others wait for hours
			enqueue(t, k, kind, shared, jobs.RateLimit("slow", 1, time.Hour))
		}
		time.Sleep(5 * time.Second)
		begun := time.Now()
		for range 9 {
			wantEnd(t, k, enqueue(t, k, kind, shared), jobs.StateCompleted)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("9 starts took %v, want their tokens to be there", took)
		}
	})
}

// Many that wait for a place do not keep the workers busy with looking.
func TestManyWaitForAPlace(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		reg := prometheus.NewRegistry()
		kind := define(jobs.Concurrency("", 1))
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery, ClientConfig: jobs.ClientConfig{Registerer: reg}}, func(p *jobs.Pool) {
			kind.Handle(p, func(context.Context, *jobs.Job[args]) (result, error) {
				time.Sleep(10 * time.Second)
				return result{7}, nil
			})
		})
		for range 300 {
			enqueue(t, k, kind)
		}
		time.Sleep(25 * time.Second) // between two ends
		// The first look of each but the first, who has the place.
		if looks := counter(t, reg, "jobs_attempts_total", "scheduled"); looks < 299 || looks > 310 {
			t.Errorf("%v looks for a place in 25 seconds, want one each", looks)
		}
	})
}

// counter returns a counter's sum over the series with a label of the value.
func counter(t *testing.T, reg *prometheus.Registry, name, value string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == value {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}
