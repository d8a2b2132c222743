package jobs_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

func TestChain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		var mu sync.Mutex
		var order []string
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, j.Args.Name)
			if j.Args.Name == "bad" {
				return result{}, errBoom
			}
			return result{7}, nil
		})
		id := enqueue(t, k, kind, jobs.ID("first"),
			jobs.Then(kind.Step(args{"b"}, notify(k)), kind.Step(args{"c"}, notify(k)), kind.Step(args{"bad"}), kind.Step(args{"never"})))
		wantEnd(t, k, id, jobs.StateCompleted)
		k.Drain()
		if !slices.Equal(order, []string{"a", "b", "c", "bad"}) {
			t.Errorf("order = %v", order)
		}
		wantEnd(t, k, "first+1", jobs.StateCompleted)
		wantEnd(t, k, "first+2", jobs.StateCompleted)
	})
}

func TestBatch(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		summary := jobs.Define[string, map[jobs.State]int]("test.summary")
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) {
			kind.Handle(p, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
				time.Sleep(time.Second)
				switch j.Args.Name {
				case "3":
					return result{}, errBoom
				case "4":
					<-ctx.Done()
					return result{}, context.Cause(ctx)
				}
				return result{7}, nil
			})
			summary.Handle(p, func(ctx context.Context, j *jobs.Job[string]) (map[jobs.State]int, error) {
				infos, err := p.Client().BatchOf(ctx, j.Args)
				got := make(map[jobs.State]int)
				for _, i := range infos {
					got[i.State]++
				}
				return got, err
			})
		})
		var steps []jobs.Step
		for i := range 25 {
			step := kind.Step(args{strconv.Itoa(i)})
			if i == 5 {
				step = kind.Step(args{"late"}, jobs.ProcessIn(time.Hour))
			}
			steps = append(steps, step)
		}
		for range 2 { // repeating it changes nothing
			if err := k.Client.Batch(t.Context(), "batch", steps, summary.Step("batch", notify(k))); err != nil {
				t.Fatal(err)
			}
		}
		k.WaitState("batch:4", jobs.StateRunning)
		if err := k.Client.Cancel(t.Context(), "batch:4"); err != nil {
			t.Errorf("Cancel of a member: %v", err)
		}
		if err := k.Inspector().DeleteTask("lm.default", "batch:5"); err != nil {
			t.Errorf("an operator deletes a member: %v", err)
		}
		info := k.Wait("batch:finally")
		got, err := summary.Result(info)
		want := map[jobs.State]int{jobs.StateCompleted: 22, jobs.StateFailed: 1, jobs.StateCancelled: 1, jobs.StateLost: 1}
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("summary = %v, %v, want %v", got, err, want)
		}
		if n := len(k.Terminal("s", "batch:finally")); n != 1 {
			t.Errorf("%d ends, want 1", n)
		}
	})
}

func TestInvalidSteps(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		good := kind.Step(args{"a"})
		for name, bad := range map[string]jobs.Step{
			"ID": kind.Step(args{}, jobs.ID("x")), "Unique": kind.Step(args{}, jobs.Unique(time.Hour)),
			"ProcessAt": kind.Step(args{}, jobs.ProcessAt(time.Now())), "Then": kind.Step(args{}, jobs.Then(good)),
			"timeout": kind.Step(args{}, jobs.Timeout(0)), "name": jobs.Define[args, result]("no good").Step(args{}),
		} {
			if err := bad.Err(); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%s: Err = %v, want ErrInvalid", name, err)
			}
			if err := k.Client.Batch(t.Context(), "b", []jobs.Step{bad}, good); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%s: Batch = %v, want ErrInvalid", name, err)
			}
		}
		for name, steps := range map[string][]jobs.Step{"none": nil, "too many": make([]jobs.Step, 1001)} {
			if err := k.Client.Batch(t.Context(), "b", steps, good); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%s: Batch = %v, want ErrInvalid", name, err)
			}
		}
		if _, err := k.Client.BatchOf(t.Context(), "nobody"); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("BatchOf of nothing = %v, want ErrNotFound", err)
		}
	})
}
