package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// nilError is what a function returns that declares a typed error and forgets
// to set it.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// Whatever a handler returns as its error, the job is tried again in its time,
// fails with its event, and the worker lives.
func TestErrorsThatCannotBeStoredAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, code string
		h          handler
	}{
		{"not UTF-8", "error", func(context.Context, *jobs.Job[args]) (result, error) {
			return result{}, errors.New("line 3: \xff\xfe")
		}},
		{"panic with no UTF-8", "panic", func(context.Context, *jobs.Job[args]) (result, error) { panic("\xff") }},
		{"long", "sorry", func(context.Context, *jobs.Job[args]) (result, error) {
			return result{}, errors.Join(jobs.UserError("sorry", "no"), errors.New(strings.Repeat("é", 1<<20)))
		}},
		{"typed nil", "panic", func(context.Context, *jobs.Job[args]) (result, error) {
			var e *nilError
			return result{}, e
		}},
		{"Asynq's own", "error", func(_ context.Context, j *jobs.Job[args]) (result, error) {
			if j.Attempt == 1 {
				return result{}, errBoom
			}
			return result{}, fmt.Errorf("%w: %w", errBoom, asynq.RevokeTask)
		}},
		{"panicking panic value", "panic", func(context.Context, *jobs.Job[args]) (result, error) { panic((*nilError)(nil)) }},
		{"goroutine ends", "panic", func(context.Context, *jobs.Job[args]) (result, error) {
			runtime.Goexit()
			return result{}, nil
		}},
	} {
		for name, isPlain := range map[string]bool{"": false, ", plain": true} {
			t.Run(tt.name+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					kind := define(jobs.MaxRetry(1), jobs.RetryBackoff(time.Second, time.Second))
					start(k, kind, tt.h)
					begun := time.Now()
					var info jobs.Info
					if isPlain {
						info = wantState(t, k, plain(t, k, kind), jobs.StateFailed)
					} else {
						info = k.Wait(wantEnd(t, k, enqueue(t, k, kind), jobs.StateFailed).Event.ID)
					}
					if took := time.Since(begun); info.Code != tt.code || info.Attempt != 2 || took > 10*time.Second {
						t.Errorf("code %q in attempt %d after %v, want %q in attempt 2 after some seconds", info.Code, info.Attempt, took, tt.code)
					}
					time.Sleep(5 * time.Second)
					task, err := k.Inspector().GetTaskInfo("lm.default", info.ID)
					if err != nil || task.LastErr == "" || len(task.LastErr) > 20_000 || !utf8.ValidString(task.LastErr) {
						t.Errorf("task = %+v, %v, want it in the archive with a reason", task, err)
					}
				})
			})
		}
	}
}

// What middleware makes of a result is held to the same form and bound as a
// handler's: the end that the page waits for is never refused for it.
func TestResultsOfMiddleware(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, result, code string
		state              jobs.State
	}{
		{"JSON", `{"size":1}`, "", jobs.StateCompleted},
		{"nothing", "", "", jobs.StateCompleted},
		{"no JSON", "{no", "bad_result", jobs.StateFailed},
		{"too large", `"` + strings.Repeat("x", 60<<10) + `"`, "result_too_large", jobs.StateFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define()
				instead := func(func(context.Context, *jobs.Work) ([]byte, error)) func(context.Context, *jobs.Work) ([]byte, error) {
					return func(context.Context, *jobs.Work) ([]byte, error) { return []byte(tt.result), nil }
				}
				k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Work: []jobs.Middleware[[]byte]{instead}}, func(p *jobs.Pool) { kind.Handle(p, quick) })
				end := wantEnd(t, k, enqueue(t, k, kind), tt.state)
				if end.Event.Code != tt.code || end.Event.Attempt != 1 {
					t.Errorf("event = %+v, want code %q at once", end.Event, tt.code)
				}
				if tt.state != jobs.StateCompleted {
					return
				}
				if _, err := kind.Result(k.Wait(end.Event.ID)); err != nil {
					t.Errorf("Result: %v", err)
				}
			})
		})
	}
}
