package jobs_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
)

// TestMostLimits: a job with as many limits as it may have, the longest keys, and
// more who wait than one call of a script hands on to.
func TestMostLimits(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, redistest.Config{}).Client(t)
	hold, ran := make(chan struct{}), new(atomic.Int32)
	a := newApp(t, rdb, "p", "default", func(_ context.Context, j *jobs.Job[args]) (result, error) {
		if j.Args.Name == "first" {
			<-hold
		}
		ran.Add(1)
		return result{7}, nil
	})
	a.work()
	const waiting = 300
	var opts []jobs.Option
	for i := range 16 {
		key := fmt.Sprintf("%0128d", i)
		if i%2 == 0 {
			opts = append(opts, jobs.Concurrency(key, waiting+1))
		} else {
			opts = append(opts, jobs.RateLimit(key, waiting+1, 1<<30))
		}
	}
	first := a.enqueue("first", append(opts[:15:15], jobs.Concurrency("one", 1))...)
	a.wait(first, jobs.StateRunning)
	for range waiting {
		a.enqueue("next", append(opts[:15:15], jobs.Concurrency("one", 1))...)
	}
	patience.Until(t, "all wait", func() bool { return rdb.ZCard(t.Context(), "asynq:{p.default}:scheduled").Val() == waiting })
	close(hold)
	patience.Until(t, "all have run", func() bool { return ran.Load() == waiting+1 })
}

// TestPoolBounds: New names the setting and the bound.
func TestPoolBounds(t *testing.T) {
	t.Parallel()
	queues := map[string]int{}
	for i := range 1001 {
		queues[fmt.Sprint("q", i)] = 1
	}
	for want, cfg := range map[string]jobs.PoolConfig{
		"Concurrency is 10001, at most 10000":  {Concurrency: 10_001},
		"Queues has 1001 queues, at most 1000": {Queues: queues},
	} {
		if _, err := jobs.NewPool(nil, nil, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewPool = %v, want %q", err, want)
		}
	}
}
