package jobs_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// TestStepsUnderCrashes: 20 jobs of ten steps on workers of which one dies every
// second and a half. No step whose result a handler has had runs again, and each
// death has at most the step under way of each of its jobs done twice.
func TestStepsUnderCrashes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		const jobsAtOnce, crashes, n = 3, 6, 20
		kind := define(jobs.MaxRetry(20), jobs.MaxDeaths(100))
		var mu sync.Mutex
		ran, stored := map[string]int{}, map[string]bool{}
		handle := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			sum := 0
			for i := range 10 {
				id := ""
				v, err := jobs.Do(ctx, "step "+strconv.Itoa(i), func(ctx context.Context) (int, error) {
					id = jobs.StepID(ctx)
					mu.Lock()
					ran[id]++
					again := stored[id]
					mu.Unlock()
					if again {
						return 0, jobs.Discard(fmt.Errorf("%s was stored, and runs again", id))
					}
					time.Sleep(200 * time.Millisecond)
					return i, nil
				})
				if err != nil {
					return result{}, err
				}
				if id != "" {
					mu.Lock()
					stored[id] = true
					mu.Unlock()
				}
				sum += v
			}
			return result{sum}, nil
		}
		work := func() *jobstest.Worker {
			return k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Concurrency: jobsAtOnce}, func(p *jobs.Pool) { kind.Handle(p, handle) })
		}
		var ids []string
		for range n {
			ids = append(ids, enqueue(t, k, kind))
		}
		workers := []*jobstest.Worker{work(), work()}
		for range crashes {
			time.Sleep(1500 * time.Millisecond)
			workers[0].Crash()
			workers = append(workers[1:], work())
		}
		for _, id := range ids {
			if i := k.Wait(id); i.State != jobs.StateCompleted || string(i.Result) != `{"size":45}` {
				t.Errorf("job %s is %s, %s: %v", id, i.State, i.Result, i.Failures)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		again := -len(ran)
		for _, times := range ran {
			again += times
		}
		if len(ran) != 10*n || again > crashes*jobsAtOnce {
			t.Errorf("%d steps ran, and %d ran again; want %d, and at most %d", len(ran), again, 10*n, crashes*jobsAtOnce)
		}
		t.Logf("%d of %d steps ran again after %d crashes", again, len(ran), crashes)
	})
}
