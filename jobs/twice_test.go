package jobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// TestTaskHandedOutTwice: a replica that lacks the latest writes takes over, and
// hands a task out that runs. The older run gives way, and leaves the task alone:
// before, it gave it back to Asynq, which handed it out once more, and so on,
// each run ending the one before, until the attempts were used up.
func TestTaskHandedOutTwice(t *testing.T) {
	t.Parallel()
	for name, long := range map[string]time.Duration{"two heartbeats": 10 * time.Second, "five": 21 * time.Second} {
		for state, notify := range map[string]bool{"with a session": true, "plain": false} {
			t.Run(name+" "+state, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					kind := define()
					var starts atomic.Int32
					h := func(ctx context.Context, j *jobs.Job[args]) (result, error) {
						starts.Add(1)
						select {
						case <-time.After(long):
							return result{j.Attempt}, nil
						case <-ctx.Done():
							return result{}, context.Cause(ctx)
						}
					}
					start(k, kind, h)
					start(k, kind, h)
					var id string
					if notify {
						id = enqueue(t, k, kind)
					} else {
						handle, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"})
						if err != nil {
							t.Fatal(err)
						}
						id = handle.ID
					}
					k.Until("it runs", func() bool { return starts.Load() == 1 })
					time.Sleep(2 * time.Second)
					task, err := k.Redis.LRange(t.Context(), "asynq:{lm.default}:active", 0, -1).Result()
					if err != nil || len(task) != 1 {
						t.Fatalf("active: %v, %v", task, err)
					}
					k.Redis.LRem(t.Context(), "asynq:{lm.default}:active", 0, task[0])
					k.Redis.ZRem(t.Context(), leases, task[0])
					k.Redis.LPush(t.Context(), "asynq:{lm.default}:pending", task[0])
					k.Redis.HSet(t.Context(), "asynq:{lm.default}:t:"+task[0], "state", "pending")
					k.WaitState(id, jobs.StateCompleted)
					if n := starts.Load(); n != 2 {
						t.Errorf("it was started %d times, want twice", n)
					}
				})
			})
		}
	}
}
