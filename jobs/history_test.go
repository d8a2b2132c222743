package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

func z(member string) redis.Z { return redis.Z{Member: member} }

// TestFailuresAreKept: the last ten, of all generations, with attempt and worker;
// waits are no failures.
func TestFailuresAreKept(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]func(k *jobstest.Kit) jobs.Option{
		"with a session": notify,
		"plain":          func(*jobstest.Kit) jobs.Option { return jobs.Retention(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(6), jobs.RetryBackoff(time.Second, time.Second))
				var runs atomic.Int32
				start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
					if runs.Add(1)%2 == 1 {
						return result{}, jobs.Snooze(time.Second)
					}
					return result{}, fmt.Errorf("%d.%d: %w %s", j.Gen, j.Attempt, errBoom, strings.Repeat("x", 1000))
				})
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opt(k))
				if err != nil {
					t.Fatal(err)
				}
				info := k.Wait(h.ID)
				if info.State != jobs.StateFailed || info.Attempt != 7 || info.Attempts != 7 || len(info.Failures) != 7 || info.Worker == "" {
					t.Fatalf("%s after attempt %d of %d, %d failures, worker %q", info.State, info.Attempt, info.Attempts, len(info.Failures), info.Worker)
				}
				if err := k.Client.Retry(t.Context(), h.ID); err != nil {
					t.Fatal(err)
				}
				info = k.Wait(h.ID)
				if len(info.Failures) != 10 {
					t.Fatalf("%d failures, want the last ten", len(info.Failures))
				}
				for i, f := range info.Failures {
					n := i + 4
					gen, attempt := n/7+1, n%7+1
					if f.Gen != gen || f.Attempt != attempt || !strings.HasPrefix(f.Message, fmt.Sprintf("%d.%d: boom", gen, attempt)) ||
						len(f.Message) > 512 || f.Worker != info.Worker || f.Code != "error" {
						t.Errorf("failure %d: %.100s, want that of attempt %d.%d", i, fmt.Sprint(f), gen, attempt)
					}
					if i > 0 && !f.At.After(info.Failures[i-1].At) {
						t.Errorf("failure %d is of %v, before that of %v", i, f.At, info.Failures[i-1].At)
					}
				}
			})
		})
	}
}

// TestCrashIsAFailure: what a worker died of is kept too.
func TestCrashIsAFailure(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(2))
		first := start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		})
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		first.Crash()
		start(k, kind, quick)
		wantEnd(t, k, id, jobs.StateCompleted)
		info, err := k.Client.Get(t.Context(), id)
		if err != nil || len(info.Failures) != 1 {
			t.Fatalf("%+v, %v, want one failure", info.Failures, err)
		}
		if f := info.Failures[0]; f.Attempt != 1 || f.Code != "crashed" || f.Worker == "" || f.At.IsZero() {
			t.Errorf("%+v", f)
		}
	})
}

// TestLostJobSaysSo among its failures.
func TestLostJobSaysSo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		id := enqueue(t, k, kind, jobs.ProcessIn(time.Hour))
		if err := k.Inspector().DeleteTask("lm.default", id); err != nil {
			t.Fatal(err)
		}
		start(k, kind, quick)
		info := k.Wait(id)
		if info.State != jobs.StateLost || len(info.Failures) != 1 || info.Failures[0].Code != "lost" {
			t.Errorf("%s, %+v", info.State, info.Failures)
		}
		if _, err := k.Client.Get(t.Context(), "nobody"); !errors.Is(err, jobs.ErrNotFound) {
			t.Error(err)
		}
	})
}
