package jobs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// Steps of different chains are different jobs, however the chains are named,
// and a chain that is opened again runs all of its steps again.
func TestStepsOfChainsDoNotMeet(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		var mu sync.Mutex
		var ran []string
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, j.Args.Name)
			return result{7}, nil
		})
		want := func(what string, names ...string) {
			t.Helper()
			k.Drain()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(ran)
			slices.Sort(names)
			if !slices.Equal(ran, names) {
				t.Errorf("%s: ran %v, want %v", what, ran, names)
			}
			ran = nil
		}
		for _, id := range []string{"report/5", "report/6"} {
			enqueue(t, k, kind, jobs.ID(id), jobs.Then(kind.Step(args{id + " b"}), kind.Step(args{id + " c"})))
		}
		want("two chains", "a", "report/5 b", "report/5 c", "a", "report/6 b", "report/6 c")
		if err := k.Client.Retry(t.Context(), "report/5"); err != nil {
			t.Fatal(err)
		}
		want("opened again", "a", "report/5 b", "report/5 c")
		if err := k.Client.Retry(t.Context(), "report/5"); err != nil {
			t.Fatal(err)
		}
		want("and again", "a", "report/5 b", "report/5 c")
	})
}

// A chain's IDs stay in bounds however long it is, and however often a step of
// it is opened again.
func TestIDsOfALongChain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		var mu sync.Mutex
		seen := make(map[string]bool)
		last := ""
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			mu.Lock()
			defer mu.Unlock()
			if len(j.ID) > 96 {
				t.Errorf("an ID of %d bytes", len(j.ID))
			}
			seen[j.ID], last = true, j.ID
			if len(seen)%5 == 0 && j.Gen == 1 {
				return result{}, errBoom
			}
			return result{7}, nil
		})
		steps := make([]jobs.Step, 20)
		for i := range steps {
			steps[i] = kind.Step(args{"b"})
		}
		enqueue(t, k, kind, jobs.ID(strings.Repeat("x", 96)), jobs.Then(steps...))
		for range 7 {
			k.Drain()
			if info, err := k.Client.Get(t.Context(), last); err != nil || info.State != jobs.StateFailed {
				break
			}
			if err := k.Client.Retry(t.Context(), last); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != 21 {
			t.Errorf("%d jobs ran, want 21", len(seen))
		}
	})
}

// What middleware does with a step may panic: the chain goes on once it does
// not, and the process lives.
func TestMiddlewarePanicsForAStep(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		t.Helper()
		k := jobstest.New(t)
		mended := time.Now().Add(20 * time.Second)
		wrap := func(next func(context.Context, *jobs.Work) (jobs.Handle, error)) func(context.Context, *jobs.Work) (jobs.Handle, error) {
			return func(ctx context.Context, w *jobs.Work) (jobs.Handle, error) {
				if time.Now().Before(mended) {
					panic("no tenant in the context")
				}
				return next(ctx, w)
			}
		}
		kind := define()
		var n names
		k.Start(jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Middleware: []jobs.Middleware[jobs.Handle]{wrap}}, CheckInterval: checkEvery},
			func(p *jobs.Pool) { kind.Handle(p, n.handle) })
		id := enqueue(t, k, kind, jobs.Then(kind.Step(args{"b"})))
		wantEnd(t, k, id, jobs.StateCompleted)
		k.Drain()
		n.want(t, "a", "b")
	})
}

func TestBatchErrors(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		if err := k.Client.Batch(t.Context(), "b~2", []jobs.Step{kind.Step(args{})}, kind.Step(args{})); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Batch with the mark of generations = %v, want ErrInvalid", err)
		}
		if err := k.Client.Batch(t.Context(), "b", []jobs.Step{kind.Step(args{})}, kind.Step(args{})); err != nil {
			t.Fatal(err)
		}
		k.Fail("LOADING Redis is loading the dataset in memory")
		if _, err := k.Client.BatchOf(t.Context(), "b"); err == nil || errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("BatchOf while Redis is away = %v, want its error", err)
		}
		k.Fail("")
		time.Sleep(time.Second)
		if infos, err := k.Client.BatchOf(t.Context(), "b"); err != nil || len(infos) != 1 {
			t.Errorf("BatchOf = %+v, %v, want one", infos, err)
		}
	})
}
