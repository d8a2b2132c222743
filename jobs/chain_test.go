package jobs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

func TestThreeFailuresThenSuccess(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(3))
		var attempts []int
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			attempts = append(attempts, j.Attempt)
			if j.Attempt <= 3 {
				return result{}, errBoom
			}
			return result{len(j.Args.Name) + 41}, nil
		})
		id := enqueue(t, k, kind)
		end := wantEnd(t, k, id, jobs.StateCompleted)

		var got result
		if err := end.Bind(&got); err != nil || got.Size != 42 {
			t.Errorf("result = %+v, %v, want size 42", got, err)
		}
		if end.ID != "job:"+id+":1:completed" || end.Action != "Done" || !end.Final || end.Replaces != "job:"+id+":1" {
			t.Errorf("terminal push = %+v", end.Message)
		}
		want := []string{"Queued", "Started", "Retrying", "Started", "Retrying", "Started", "Retrying", "Started", "Done"}
		if got := actions(k); !slices.Equal(got, want) {
			t.Errorf("events = %v, want %v", got, want)
		}
		if !slices.Equal(attempts, []int{1, 2, 3, 4}) {
			t.Errorf("attempts = %v", attempts)
		}
		for _, p := range k.Events("s") {
			if strings.Contains(string(p.Data), "secret") {
				t.Errorf("push %s tells the page an internal error: %s", p.Action, p.Data)
			}
			if p.Action == "Retrying" && (p.Event.NextAt.IsZero() || p.Event.Code != "error") {
				t.Errorf("retrying event = %+v, want a time and a code", p.Event)
			}
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		handler  handler
		attempts int32
		code     string
		message  string
		full     string // for operators
	}{
		{"error", func(context.Context, *jobs.Job[args]) (result, error) { return result{}, errBoom }, 3, "error", "internal error", "boom: secret detail"},
		{"panic", func(context.Context, *jobs.Job[args]) (result, error) { panic("secret") }, 3, "panic", "internal error", "panic: secret"},
		{"user error", func(context.Context, *jobs.Job[args]) (result, error) {
			return result{}, errors.Join(errBoom, jobs.UserError("bad_csv", "line 3 is broken"))
		}, 3, "bad_csv", "line 3 is broken", "boom: secret detail"},
		{"discard", func(context.Context, *jobs.Job[args]) (result, error) {
			return result{}, jobs.Discard(jobs.UserError("bad_csv", "no header"))
		}, 1, "bad_csv", "no header", "no header"},
		{"timeout", func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{}, context.Cause(ctx)
		}, 3, "timeout", "took too long", "timeout"},
		{"timeout told by the plain error", func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		}, 3, "timeout", "took too long", "deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(2), jobs.Timeout(5*time.Second))
				var ran atomic.Int32
				start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
					ran.Add(1)
					return tt.handler(ctx, j)
				})
				end := wantEnd(t, k, enqueue(t, k, kind), jobs.StateFailed)
				if end.Event.Code != tt.code || end.Event.Error != tt.message {
					t.Errorf("event says %q %q, want %q %q", end.Event.Code, end.Event.Error, tt.code, tt.message)
				}
				if ran.Load() != tt.attempts {
					t.Errorf("ran %d times, want %d", ran.Load(), tt.attempts)
				}
				time.Sleep(time.Second) // Asynq archives the task
				task, err := k.Inspector().GetTaskInfo("lm.default", end.Event.ID)
				if err != nil || !strings.Contains(task.LastErr, tt.full) {
					t.Errorf("operators see %q, %v, want the full text %q", task.LastErr, err, tt.full)
				}
			})
		})
	}
}
