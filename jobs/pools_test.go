package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// TestTwoPoolsOfAProcess: pools of different queues and sizes share a client, a
// prefix and a registry. Both work, both drain, and the metrics are theirs together.
func TestTwoPoolsOfAProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		reg := prometheus.NewPedanticRegistry()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 2)
		var ids []string
		for queue, slots := range map[string]int{"fast": 3, "slow": 1} {
			pool, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{
				ClientConfig: jobs.ClientConfig{Registerer: reg}, Concurrency: slots, Queues: map[string]int{queue: 1},
				CheckInterval: checkEvery, DrainTimeout: 30 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			kind := define(jobs.Queue(queue))
			kind.Handle(pool, timed(10*time.Second))
			go func() { done <- pool.Run(ctx) }()
			for range slots {
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{queue}, notify(k))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, h.ID)
			}
		}
		time.Sleep(5 * time.Second)
		for name, want := range map[string]float64{"jobs_slots": 4, "jobs_busy": 4} {
			if got := metric(t, reg, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		stop() // the jobs have five seconds to go
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			info, err := k.Client.Get(t.Context(), id)
			if ends := k.Terminal("s", id); err != nil || info.State != jobs.StateCompleted || len(ends) != 1 {
				t.Errorf("%s: %s, %v, told of %d ends", id, info.State, err, len(ends))
			}
		}
		if got := metric(t, reg, "jobs_slots"); got != 0 {
			t.Errorf("jobs_slots is %v after the stop", got)
		}
	})
}
