package jobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// TestWaitsAreNoFailures, of a job with a session and without: neither Asynq's count
// of its task nor its statistics of the queue tell of any.
func TestWaitsAreNoFailures(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{true, false} {
		for name, opts := range map[string][]jobs.Option{"snoozes": nil, "waits for a limit": {jobs.Concurrency("k", 1)}} {
			t.Run(map[bool]string{true: "session ", false: "plain "}[session]+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					var n atomic.Int32
					kind := define(append(opts, jobs.MaxRetry(0))...)
					start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
						if n.Add(1) <= 3 && len(opts) == 0 {
							return result{}, jobs.Snooze(time.Minute)
						}
						return timed(time.Minute)(ctx, j)
					})
					var ids []string
					for range 1 + len(opts) {
						var as []jobs.Option
						if session {
							as = append(as, notify(k))
						}
						h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, as...)
						if err != nil {
							t.Fatal(err)
						}
						ids = append(ids, h.ID)
					}
					time.Sleep(30 * time.Second)
					waiting, err := k.Inspector().GetTaskInfo("lm.default", ids[len(ids)-1])
					if err != nil || waiting.Retried != 0 {
						t.Errorf("Asynq counts %d retries, %v", waiting.Retried, err)
					}
					for _, id := range ids {
						if info := wantState(t, k, id, jobs.StateCompleted); info.Attempt != 1 || len(info.Failures) > 0 {
							t.Errorf("attempt %d with failures %v", info.Attempt, info.Failures)
						}
					}
					if q, err := k.Inspector().GetQueueInfo("lm.default"); err != nil || q.FailedTotal != 0 {
						t.Errorf("Asynq counts %d failures, %v", q.FailedTotal, err)
					}
				})
			})
		}
	}
}
