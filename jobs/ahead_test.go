package jobs_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// taker is a pool that does not run: the test takes tasks in Asynq's place.
type taker struct {
	t    *testing.T
	k    *jobstest.Kit
	pool *jobs.Pool
	ids  []string
}

// newTaker enqueues n jobs for a pool with three slots.
func newTaker(t *testing.T, k *jobstest.Kit, n int, cfg jobs.PoolConfig) *taker {
	t.Helper()
	cfg.Concurrency = 3
	pool, err := jobs.NewPool(k.Redis, k.Publisher, cfg)
	if err != nil {
		t.Fatal(err)
	}
	x := &taker{t: t, k: k, pool: pool}
	for range n {
		x.ids = append(x.ids, enqueue(t, k, define()))
	}
	return x
}

// take expects the n-th job, from 0.
func (x *taker) take(n int) {
	x.t.Helper()
	msg, err := x.pool.Take(x.t.Context(), "lm.default")
	if err != nil || !strings.Contains(msg, x.ids[n]) {
		x.t.Fatalf("took %q, %v; want job %d", msg, err, n)
	}
}

// want checks which jobs are active and which wait, in the order in which they
// will be taken.
func (x *taker) want(active, pending []int) {
	x.t.Helper()
	read := func(list string) []int {
		ids, err := x.k.Redis.LRange(x.t.Context(), "asynq:{lm.default}:"+list, 0, -1).Result()
		if err != nil {
			x.t.Fatal(err)
		}
		var out []int
		for _, id := range slices.Backward(ids) {
			out = append(out, slices.Index(x.ids, id))
		}
		return out
	}
	if got := read("active"); !slices.Equal(got, active) {
		x.t.Errorf("active = %v, want %v", got, active)
	}
	if got := read("pending"); !slices.Equal(got, pending) {
		x.t.Errorf("pending = %v, want %v", got, pending)
	}
}

func TestTasksAreTakenAheadForFreeSlotsOnly(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		x := newTaker(t, k, 5, jobs.PoolConfig{})
		x.take(0)
		x.want([]int{0, 1, 2}, []int{3, 4})
		x.take(1)
		x.take(2)
		x.want([]int{0, 1, 2}, []int{3, 4})
		x.take(3) // Asynq asks, so a slot is free: one
		x.want([]int{0, 1, 2, 3}, []int{4})
	})
}

func TestHeldTasksAreGivenBackAtTheHead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		x := newTaker(t, k, 5, jobs.PoolConfig{})
		x.take(0)
		x.pool.GiveBack(t.Context(), 0)
		x.want([]int{0}, []int{1, 2, 3, 4})
		for _, id := range x.ids[1:] {
			info, err := k.Inspector().GetTaskInfo("lm.default", id)
			if err != nil || info.State != asynq.TaskStatePending || info.Retried != 0 {
				t.Errorf("task = %+v, %v; want pending without retries", info, err)
			}
		}
		leases, err := k.Redis.ZRange(t.Context(), "asynq:{lm.default}:lease", 0, -1).Result()
		if err != nil || len(leases) != 1 {
			t.Errorf("leases = %v, %v; want the one of job 0", leases, err)
		}
		x.take(1)
	})
}

// What is held for too long is not handed out, for its lease runs.
func TestTasksHeldForTooLongAreNotHandedOut(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		x := newTaker(t, k, 5, jobs.PoolConfig{})
		x.take(0)
		time.Sleep(600 * time.Millisecond)
		x.take(3)
		x.pool.GiveBack(t.Context(), 500*time.Millisecond)
		x.want([]int{0, 3}, []int{1, 2, 4})
	})
}

// A running pool gives back by itself what Asynq does not come for, also when
// Redis was away in between.
func TestRunningPoolGivesHeldTasksBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		x := newTaker(t, k, 3, jobs.PoolConfig{Queues: map[string]int{"other": 1}})
		define().Handle(x.pool, quick)
		x.take(0)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- x.pool.Run(ctx) }()
		k.Fail("LOADING")
		time.Sleep(3 * time.Second)
		k.Fail("")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		x.want([]int{0}, []int{1, 2})
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A process that dies with tasks in hand leaves them to their leases.
func TestHeldTasksOfADeadWorkerRunElsewhere(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		x := newTaker(t, k, 4, jobs.PoolConfig{})
		x.take(0)
		start(k, define(), quick)
		for _, id := range x.ids {
			wantEnd(t, k, id, jobs.StateCompleted)
			if info := k.Wait(id); info.Attempt != 1 {
				t.Errorf("attempt = %d, want 1: no handler had it before", info.Attempt)
			}
		}
	})
}

func TestPausedQueueGivesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		x := newTaker(t, k, 2, jobs.PoolConfig{})
		if err := k.Inspector().PauseQueue("lm.default"); err != nil {
			t.Fatal(err)
		}
		if msg, err := x.pool.Take(t.Context(), "lm.default"); !errors.Is(err, redis.Nil) {
			t.Errorf("took %q, %v out of a paused queue", msg, err)
		}
		x.want(nil, []int{0, 1})
	})
}

// With several queues Asynq chooses for each task, so there is nothing to take
// ahead: strict and weighted order stay as they are.
func TestStrictQueuesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var order []string
		kind := define()
		for i := range 6 {
			queue := []string{"low", "high"}[i%2]
			enqueue(t, k, kind, jobs.Queue(queue), jobs.ID(queue+strconv.Itoa(i)))
		}
		k.Start(jobs.PoolConfig{
			Concurrency: 1, Strict: true, Queues: map[string]int{"low": 1, "high": 2}, CheckInterval: checkEvery,
		}, func(p *jobs.Pool) {
			kind.Handle(p, func(_ context.Context, j *jobs.Job[args]) (result, error) {
				order = append(order, j.ID)
				return result{}, nil
			})
		})
		k.Drain()
		if want := []string{"high1", "high3", "high5", "low0", "low2", "low4"}; !slices.Equal(order, want) {
			t.Errorf("order = %v, want %v", order, want)
		}
	})
}

// However busy a pool is, it never has more than its concurrency.
func TestPoolNeverHoldsMoreThanItsSlots(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		for range 40 {
			enqueue(t, k, kind)
		}
		var most atomic.Int64
		k.Start(jobs.PoolConfig{Concurrency: 4, CheckInterval: checkEvery}, func(p *jobs.Pool) {
			kind.Handle(p, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
				time.Sleep(time.Duration(j.ID[0]) * time.Millisecond)
				n, err := k.Redis.LLen(ctx, "asynq:{lm.default}:active").Result()
				most.Store(max(most.Load(), n))
				return result{}, err
			})
		})
		k.Drain()
		if most.Load() > 4 {
			t.Errorf("%d tasks were active with 4 slots", most.Load())
		}
	})
}

// TestManyFreeSlots: a script that takes thousands of tasks at once is within
// what Lua can do, and leaves none active without a lease. Only a real Redis has
// that bound.
func TestManyFreeSlots(t *testing.T) {
	t.Parallel()
	const slots, waiting = 5000, 6000
	server := redistest.Start(t, redistest.Config{})
	rdb, _, pub, err := soakPublisher(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	client, err := jobs.NewClient(rdb, pub, jobs.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	kind := define()
	ended, group := make(chan struct{}, waiting), errgroup.Group{}
	group.SetLimit(50)
	for range waiting {
		group.Go(func() error {
			_, err := kind.With(client).Enqueue(t.Context(), args{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	pool, err := jobs.NewPool(rdb, pub, jobs.PoolConfig{Concurrency: slots})
	if err != nil {
		t.Fatal(err)
	}
	kind.Handle(pool, func(context.Context, *jobs.Job[args]) (result, error) {
		ended <- struct{}{}
		return result{}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	for n := range waiting {
		select {
		case <-ended:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%d jobs ran, want %d", n, waiting)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n, err := rdb.LLen(context.WithoutCancel(ctx), "asynq:{lm.default}:active").Result(); n > 0 || err != nil {
		t.Errorf("%d tasks are active still, %v", n, err)
	}
}
