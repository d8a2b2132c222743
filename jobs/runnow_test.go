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

// TestRunNow: a job that is not due runs at once.
func TestRunNow(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]jobs.Option{
		"scheduled": {jobs.ProcessIn(time.Hour)}, "plain": {jobs.ProcessIn(time.Hour)}, "snoozed": nil, "queued": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				var runs atomic.Int32
				kind := define(jobs.MaxRetry(0))
				start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
					if runs.Add(1) == 1 && name == "snoozed" {
						return result{}, jobs.Snooze(time.Hour)
					}
					return result{1}, nil
				})
				if name != "plain" {
					opts = append(opts, notify(k))
				}
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...)
				if err != nil {
					t.Fatal(err)
				}
				if name == "snoozed" {
					k.WaitState(h.ID, jobs.StateScheduled)
				}
				asked := time.Now()
				if err := jobs.RunNow(t.Context(), k.Client, h.ID); err != nil && name != "queued" {
					t.Errorf("RunNow: %v", err)
				}
				if i := k.Wait(h.ID); i.State != jobs.StateCompleted || time.Since(asked) > 2*time.Second {
					t.Errorf("it is %s after %v", i.State, time.Since(asked))
				}
				if err := jobs.RunNow(t.Context(), k.Client, h.ID); !errors.Is(err, jobs.ErrEnded) {
					t.Errorf("when it is over: %v", err)
				}
				if err := jobs.RunNow(t.Context(), k.Client, "nobody"); !errors.Is(err, jobs.ErrNotFound) {
					t.Errorf("of nobody: %v", err)
				}
			})
		})
	}
}
