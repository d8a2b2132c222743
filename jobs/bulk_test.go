package jobs_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// failing makes n jobs that have failed, and more that have not, and counts the
// executions of each generation.
func failing(t *testing.T, k *jobstest.Kit, n int) *[3]atomic.Int32 {
	t.Helper()
	kind, runs := define(jobs.MaxRetry(0)), new([3]atomic.Int32)
	start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
		if j.Args.Name == "good" {
			return result{7}, nil
		}
		runs[min(j.Gen, 3)-1].Add(1)
		return result{}, errBoom
	})
	for i := range n {
		if _, err := kind.With(k.Client).Enqueue(t.Context(), args{strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	enqueueGood(t, k, kind)
	k.Drain()
	return runs
}

func enqueueGood(t *testing.T, k *jobstest.Kit, kind *jobs.Kind[args, result]) {
	t.Helper()
	if _, err := kind.With(k.Client).Enqueue(t.Context(), args{"good"}); err != nil {
		t.Fatal(err)
	}
}

func TestRetryAll(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		runs := failing(t, k, 120)
		b, err := jobs.RetryAll(t.Context(), k.Client, jobs.Query{Kind: "test.work"})
		if err != nil || b.Done != 120 || b.Skipped != 0 || b.Failed != 0 || !b.Over {
			t.Fatalf("%+v, %v", b, err)
		}
		k.Drain()
		if runs[0].Load() != 120 || runs[1].Load() != 120 || runs[2].Load() != 0 {
			t.Errorf("generations ran %d, %d, %d times", runs[0].Load(), runs[1].Load(), runs[2].Load())
		}
		if again, err := jobs.BulkOf(t.Context(), k.Client, b.ID); err != nil || again.Done != 120 || !again.Over {
			t.Errorf("%+v, %v", again, err)
		}
		for _, q := range []jobs.Query{{States: []jobs.State{jobs.StateQueued}}, {After: "!"}} {
			if _, err := jobs.RetryAll(t.Context(), k.Client, q); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
		if _, err := jobs.CancelAll(t.Context(), k.Client, jobs.Query{States: []jobs.State{jobs.StateFailed}}); !errors.Is(err, jobs.ErrInvalid) {
			t.Error(err)
		}
		if _, err := jobs.BulkOf(t.Context(), k.Client, "nobody"); !errors.Is(err, jobs.ErrNotFound) {
			t.Error(err)
		}
	})
}

// mortal lets so many commands through and refuses the rest, as if the process had
// died.
type mortal struct{ left atomic.Int64 }

var errDead = errors.New("dead")

func (*mortal) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *mortal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if d.left.Add(-1) < 0 {
			cmd.SetErr(errDead)
			return errDead
		}
		return next(ctx, cmd)
	}
}

func (d *mortal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if d.left.Add(-1) < 0 {
			for _, cmd := range cmds {
				cmd.SetErr(errDead)
			}
			return errDead
		}
		return next(ctx, cmds)
	}
}

// TestBulksSurvive the death of whoever carries them out, at any command: each job
// is retried, and none twice.
func TestBulksSurvive(t *testing.T) {
	t.Parallel()
	for _, after := range []int64{3, 4, 5, 6, 7, 10, 23, 70, 151, 390} {
		t.Run(strconv.FormatInt(after, 10), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				runs := failing(t, k, 110)
				dies := *k.Redis.(*redis.Client).Options() //nolint:errcheck // it is one
				rdb := redis.NewClient(&dies)
				defer rdb.Close()
				d := new(mortal)
				d.left.Store(after)
				rdb.AddHook(d)
				c, err := jobs.NewClient(rdb, k.Publisher, jobs.ClientConfig{})
				if err != nil {
					t.Fatal(err)
				}
				b, err := jobs.RetryAll(t.Context(), c, jobs.Query{})
				if err == nil {
					t.Fatalf("%+v: it has not died", b)
				}
				time.Sleep(2 * time.Minute)
				k.Drain()
				if b.ID == "" { // it had not begun
					if after > 5 || runs[1].Load() != 0 {
						t.Errorf("it has not begun, and %d were retried", runs[1].Load())
					}
					return
				}
				// One that was opened and got no task is lost, and opened once more.
				if runs[0].Load() != 110 || runs[1].Load()+runs[2].Load() != 110 {
					t.Errorf("generations ran %d, %d, %d times", runs[0].Load(), runs[1].Load(), runs[2].Load())
				}
				if b, err := jobs.BulkOf(t.Context(), k.Client, b.ID); err != nil || b.Done != 110 || !b.Over {
					t.Errorf("%+v, %v", b, err)
				}
			})
		})
	}
}

func TestCancelAll(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		for range 60 {
			for _, opt := range []jobs.Option{jobs.ProcessIn(time.Hour), notify(k), jobs.Queue("other")} {
				if _, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opt); err != nil {
					t.Fatal(err)
				}
			}
		}
		b, err := jobs.CancelAll(t.Context(), k.Client, jobs.Query{Queue: "default"})
		if err != nil || b.Done != 120 || b.Skipped != 0 || !b.Over {
			t.Fatalf("%+v, %v", b, err)
		}
		for state, want := range map[jobs.State]int{jobs.StateCancelled: 120, jobs.StateQueued: 60, jobs.StateScheduled: 0} {
			if got := ids(t, k, jobs.Query{States: []jobs.State{state}, Limit: 100}); len(got) != want {
				t.Errorf("%d are %s, want %d", len(got), state, want)
			}
		}
	})
}
