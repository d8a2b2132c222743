package jobs_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// deaf runs a script and loses its answer, once.
type deaf struct {
	script *redis.Script
	source string
	lost   atomic.Bool
}

var errLost = errors.New("answer lost")

func deafTo(t *testing.T, names ...string) *deaf {
	t.Helper()
	var parts strings.Builder
	for _, name := range names { // as the store puts them together
		b, err := os.ReadFile("lua/" + name + ".lua")
		if err != nil {
			t.Fatal(err)
		}
		parts.Write(b)
	}
	src := parts.String()
	return &deaf{script: redis.NewScript(src), source: src}
}

func (d *deaf) lose(cmd redis.Cmder) {
	args := cmd.Args()
	if cmd.Err() != nil || len(args) < 2 || (args[1] != d.script.Hash() && args[1] != d.source) || !d.lost.CompareAndSwap(false, true) {
		return
	}
	cmd.SetErr(errLost)
}

func (*deaf) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *deaf) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil {
			return err
		}
		d.lose(cmd)
		return cmd.Err()
	}
}

func (d *deaf) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			d.lose(cmd)
		}
		return err
	}
}

// TestLostAnswersCountNoAttempt: a step of an execution that is repeated
// because its answer got lost counts once.
func TestLostAnswersCountNoAttempt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		script  string
		handler func(run int32) error
		runs    int32
		end     jobs.State
	}{
		{"begin", func(int32) error { return nil }, 1, jobs.StateCompleted},
		{"again", func(run int32) error {
			if run == 1 {
				return jobs.Snooze(0)
			}
			return errBoom
		}, 2, jobs.StateFailed},
	} {
		t.Run(tt.script, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				d := deafTo(t, "room", "entry", tt.script)
				k.Redis.AddHook(d)
				kind := define(jobs.MaxRetry(0))
				pool, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{CheckInterval: checkEvery})
				if err != nil {
					t.Fatal(err)
				}
				var runs atomic.Int32
				kind.Handle(pool, func(context.Context, *jobs.Job[args]) (result, error) {
					return result{}, tt.handler(runs.Add(1))
				})
				ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
				done := make(chan error, 1)
				go func() { done <- pool.Run(ctx) }()
				t.Cleanup(func() {
					cancel()
					if err := <-done; err != nil {
						t.Error(err)
					}
				})
				id := enqueue(t, k, kind)
				end := wantEnd(t, k, id, tt.end)
				if end.Event.Attempt != 1 || runs.Load() != tt.runs || !d.lost.Load() {
					t.Errorf("attempt %d after %d runs, want 1 after %d", end.Event.Attempt, runs.Load(), tt.runs)
				}
			})
		})
	}
}

// TestLostAnswerOfRetry: a job that is opened again runs again, also when the
// answer to its opening is lost.
func TestLostAnswerOfRetry(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		d := deafTo(t, "entry", "reopen")
		k.Redis.AddHook(d)
		client, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		kind := define(jobs.MaxRetry(0))
		start(k, kind, quick)
		id := enqueue(t, k, kind)
		wantEnd(t, k, id, jobs.StateCompleted)
		if err := client.Retry(t.Context(), id); err != nil {
			t.Errorf("Retry: %v", err)
		}
		k.Until("the second end", func() bool { return len(k.Terminal("s", id)) == 2 })
		end := k.Terminal("s", id)[1]
		if end.Event.State != jobs.StateCompleted || end.Event.Gen != 2 || !d.lost.Load() {
			t.Errorf("second end: %+v", end.Event)
		}
	})
}
