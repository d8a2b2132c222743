package jobs_test

import (
	"context"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// lateMax is how late in fake time a job may start that is due.
const lateMax = 30 * time.Millisecond

// TestDueTimes: what is put off starts when it is due, not at the next look.
func TestDueTimes(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{
		time.Millisecond, 30 * time.Millisecond, 370 * time.Millisecond, 999 * time.Millisecond,
		1200 * time.Millisecond, 2990 * time.Millisecond, time.Minute + 123*time.Millisecond,
	} {
		t.Run(wait.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(3), jobs.RetryBackoff(wait, wait))
				type start struct {
					attempt int
					at      time.Time
				}
				started := make(chan start, 1)
				k.Start(jobs.PoolConfig{CheckInterval: time.Hour}, func(p *jobs.Pool) {
					kind.Handle(p, func(_ context.Context, j *jobs.Job[args]) (result, error) {
						started <- start{j.Attempt, time.Now()}
						if j.Attempt == 1 {
							return result{}, errBoom
						}
						return result{1}, nil
					})
				})
				time.Sleep(1300 * time.Millisecond) // between two sweeps
				due := time.Now().Add(wait)
				id := enqueue(t, k, kind, jobs.ProcessAt(due))
				first := <-started
				if late := first.at.Sub(due); late < 0 || late > lateMax {
					t.Errorf("started %v after it was due", late)
				}
				second := <-started
				// Waits vary by a quarter, so that what failed together does not come back together.
				if waited := second.at.Sub(first.at); waited < wait*3/4 || waited > wait+lateMax {
					t.Errorf("attempt %d followed after %v, want %v to %v", second.attempt, waited, wait*3/4, wait)
				}
				wantEnd(t, k, id, jobs.StateCompleted)
			})
		})
	}
}

// TestManyDueAtOnce: more than one sweep makes ready are ready without another
// second's wait, in the order in which they are due.
func TestManyDueAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		const many = 350
		kind := define()
		started := make(chan time.Time, many)
		k.Start(jobs.PoolConfig{CheckInterval: time.Hour, Concurrency: 50}, func(p *jobs.Pool) {
			kind.Handle(p, func(context.Context, *jobs.Job[args]) (result, error) {
				started <- time.Now()
				return result{1}, nil
			})
		})
		due := time.Now().Add(5500 * time.Millisecond)
		for range many {
			enqueue(t, k, kind, jobs.ProcessAt(due))
		}
		for n := range many {
			if late := (<-started).Sub(due); late < 0 || late > 500*time.Millisecond {
				t.Fatalf("job %d started %v after it was due", n, late)
			}
		}
		k.Drain()
	})
}
