package jobs_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"lastmile/jobs"
)

// life is one job's way through a Redis that refuses writes for a while. What it
// comes to, and how often it runs, is as if Redis had refused nothing.
type life struct {
	name string
	opts []jobs.Option
	do   func(ctx context.Context, j *jobs.Job[args], run int) (result, error)
	want jobs.State
	code string
	runs int
	// during is done to the job while it runs, once.
	during func(ctx context.Context, c *jobs.Client, id string) error
	after  bool // a step behind it
}

func lives() []life {
	completes := func(context.Context, *jobs.Job[args], int) (result, error) { return result{7}, nil }
	fails := func(context.Context, *jobs.Job[args], int) (result, error) {
		return result{}, jobs.UserError("told", "so")
	}
	once := jobs.MaxRetry(0)
	soon := jobs.RetryBackoff(time.Second, time.Second)
	return []life{
		{name: "completes", do: completes, want: jobs.StateCompleted, runs: 1},
		{name: "completes in its only attempt", opts: []jobs.Option{once}, do: completes, want: jobs.StateCompleted, runs: 1},
		{name: "completes after heartbeats", opts: []jobs.Option{once}, do: linger(completes), want: jobs.StateCompleted, runs: 1},
		{name: "completes a chain", do: completes, want: jobs.StateCompleted, runs: 1, after: true},
		{name: "fails", opts: []jobs.Option{once}, do: fails, want: jobs.StateFailed, code: "told", runs: 1},
		{name: "fails late", opts: []jobs.Option{once}, do: linger(fails), want: jobs.StateFailed, code: "told", runs: 1},
		{
			name: "panics", opts: []jobs.Option{once}, want: jobs.StateFailed, code: "panic", runs: 1,
			do: func(context.Context, *jobs.Job[args], int) (result, error) { panic("boom") },
		},
		{
			name: "completes at the last of two attempts", opts: []jobs.Option{jobs.MaxRetry(1), soon}, want: jobs.StateCompleted, runs: 2,
			do: func(_ context.Context, j *jobs.Job[args], run int) (result, error) {
				if run == 1 {
					return result{}, errBoom
				}
				return result{5 + j.Attempt}, nil
			},
		},
		{
			name: "snoozes in its only attempt", opts: []jobs.Option{once}, want: jobs.StateCompleted, runs: 2,
			do: func(_ context.Context, j *jobs.Job[args], run int) (result, error) {
				if run == 1 {
					return result{}, jobs.Snooze(time.Second)
				}
				return result{6 + j.Attempt}, nil
			},
		},
		{
			name: "reports progress", opts: []jobs.Option{once}, want: jobs.StateCompleted, runs: 1,
			do: func(ctx context.Context, j *jobs.Job[args], run int) (result, error) {
				for i := range 3 {
					j.Progress(float64(i)/3, "")
					if _, err := linger(completes)(ctx, j, run); err != nil {
						return result{}, err
					}
				}
				return result{7}, nil
			},
		},
		{
			name: "waits for a limit", opts: []jobs.Option{once, jobs.Concurrency("k", 1), jobs.RateLimit("k", 100, time.Second)},
			do: completes, want: jobs.StateCompleted, runs: 1,
		},
		{
			name: "is cancelled", opts: []jobs.Option{once}, want: jobs.StateCancelled, code: "cancelled", runs: 1,
			do: func(ctx context.Context, _ *jobs.Job[args], _ int) (result, error) {
				<-ctx.Done()
				return result{}, ctx.Err()
			},
			during: func(ctx context.Context, c *jobs.Client, id string) error { return c.Cancel(ctx, id) },
		},
	}
}

// linger has a handler run for long enough that its record learns of the run.
func linger(next func(context.Context, *jobs.Job[args], int) (result, error)) func(context.Context, *jobs.Job[args], int) (result, error) {
	return func(ctx context.Context, j *jobs.Job[args], run int) (result, error) {
		timer := time.NewTimer(1200 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return result{}, ctx.Err()
		case <-timer.C:
			return next(ctx, j, run)
		}
	}
}

// living runs jobs by their lives, which the names of their arguments say, and
// counts.
type living struct {
	by map[string]life

	mu   sync.Mutex
	runs map[string]int // by the name of the arguments
}

func newLiving() *living {
	l := &living{by: map[string]life{}, runs: map[string]int{}}
	for _, life := range lives() {
		l.by[life.name] = life
	}
	return l
}

// handle is the handler of all of them. The name up to "/" is the life's.
func (l *living) handle(ctx context.Context, j *jobs.Job[args]) (result, error) {
	l.note(j.Args.Name)
	return l.run(ctx, j)
}

func (l *living) note(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[name]++
}

func (l *living) run(ctx context.Context, j *jobs.Job[args]) (result, error) {
	life, ok := l.by[lifeOf(j.Args.Name)]
	if !ok {
		return result{7}, nil // the step behind another
	}
	return life.do(ctx, j, l.ran(j.Args.Name))
}

func lifeOf(name string) string {
	for i := range len(name) {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return name
}

func (l *living) ran(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[name]
}

// check compares how a job ended with its life.
func (l *living) check(t *testing.T, kind *jobs.Kind[args, result], life life, name string, info jobs.Info) {
	t.Helper()
	if info.State != life.want || info.Code != life.code {
		t.Errorf("%s: %s (%s %s), want %s %s", name, info.State, info.Code, info.Error, life.want, life.code)
	}
	if runs := l.ran(name); runs != life.runs {
		t.Errorf("%s: ran %d times, want %d", name, runs, life.runs)
	}
	if life.want != jobs.StateCompleted {
		return
	}
	if r, err := kind.Result(info); err != nil || r.Size != 7 && r.Size != 5+2 {
		t.Errorf("%s: result %+v, %v", name, r, err)
	}
}

// insistently repeats what Redis may refuse.
func insistently(t *testing.T, every time.Duration, f func() error) {
	t.Helper()
	for range 10_000 {
		err := f()
		if err == nil || errors.Is(err, jobs.ErrEnded) {
			return
		}
		timer := time.NewTimer(every)
		<-timer.C
	}
	t.Errorf("Redis refused for ever: %v", f())
}
