package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// charges is what stands with a job's task of workers that were lost.
func charges(t *testing.T, k *jobstest.Kit, id string) string {
	t.Helper()
	v, err := k.Redis.HMGet(t.Context(), "asynq:{lm.default}:t:"+id, "lmlost", "lmdead").Result()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v[0], " ", v[1])
}

// losing is one way to lose a run.
type losing struct {
	name   string
	losses int // that the job has already: with two it is a suspect
	beside int // how many others run there, if it is none
	lose   func(t *testing.T, k *jobstest.Kit, w *jobstest.Worker)
	want   string // of the job
	others string // of each of the others
	left   bool   // it is not run again: the first run goes on
	adopts bool   // the pool has a handler of an adopted queue at work
}

func losings() []losing {
	crash := func(_ *testing.T, _ *jobstest.Kit, w *jobstest.Worker) { w.Crash() }
	pause := func(_ *testing.T, _ *jobstest.Kit, w *jobstest.Worker) { w.Cut(15 * time.Second) }
	outage := func(_ *testing.T, k *jobstest.Kit, _ *jobstest.Worker) { k.Outage(15 * time.Second) }
	none, one := "<nil> <nil>", "1 <nil>"
	return []losing{
		{name: "killed with nothing else, by chance", lose: crash, want: one},
		{name: "killed beside three", beside: 3, lose: crash, want: one, others: one},
		{name: "killed alone, a suspect", losses: 2, lose: crash, want: "2 1"},
		{name: "killed alone, after three losses", losses: 3, lose: crash, want: "3 1"},
		{name: "killed while an adopted task runs", losses: 2, lose: crash, want: "3 <nil>", adopts: true},
		{name: "paused beside three", beside: 3, lose: pause, want: one, others: one},
		{name: "paused alone, a suspect", losses: 2, lose: pause, want: "2 1"},
		{name: "Redis away", beside: 3, lose: outage, want: none, others: none, left: true},
		{name: "Redis away, a suspect", losses: 2, lose: outage, want: "2 <nil>", left: true},
		{name: "stopped beside three", beside: 3, lose: stopped, want: none, others: none},
		{name: "stopped, a suspect", losses: 2, lose: stopped, want: "2 <nil>"},
		{
			name: "stopped while Redis saves nothing", beside: 3, want: one, others: one,
			lose: func(t *testing.T, k *jobstest.Kit, w *jobstest.Worker) {
				t.Helper()
				k.Refuse(jobstest.Unsaved, 0)
				stopped(t, k, w)
				k.Refuse("", 0)
			},
		},
	}
}

func stopped(t *testing.T, _ *jobstest.Kit, w *jobstest.Worker) {
	t.Helper()
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
}

// TestWhoIsCharged: each way in which a run may be lost, and what it is to the jobs
// of that worker. None uses up their only attempt.
func TestWhoIsCharged(t *testing.T) {
	t.Parallel()
	for _, tt := range losings() {
		for _, session := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.name, " session ", session), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					loseRun(t, k, tt, session)
				})
			})
		}
	}
}

func loseRun(t *testing.T, k *jobstest.Kit, tt losing, session bool) {
	t.Helper()
	kind := define(jobs.MaxRetry(0), jobs.MaxDeaths(10))
	var ids []string
	for range 1 + tt.beside {
		var opts []jobs.Option
		if session {
			opts = append(opts, notify(k))
		}
		h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, h.ID)
	}
	if tt.losses > 0 {
		k.Redis.HSet(t.Context(), "asynq:{lm.default}:t:"+ids[0], "lmlost", tt.losses, "lmsus", time.Now().Add(-time.Hour).UnixMilli())
	}
	release := make(chan struct{})
	began := make(chan string, 100)
	h := func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		began <- j.ID
		select {
		case <-ctx.Done():
			return result{}, context.Cause(ctx)
		case <-release:
			return result{7}, nil
		}
	}
	busy := make(chan struct{}, 100)
	first := k.Start(jobs.PoolConfig{CheckInterval: checkEvery, DrainTimeout: time.Second}, func(p *jobs.Pool) {
		kind.Handle(p, h)
		if tt.adopts {
			p.Adopt("legacy", asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
				busy <- struct{}{}
				<-release
				return nil
			}))
		}
	})
	if tt.adopts {
		if _, err := asynq.NewClientFromRedisClient(k.Redis).Enqueue(asynq.NewTask("old", nil), asynq.Queue("legacy")); err != nil {
			t.Fatal(err)
		}
		<-busy
	}
	for range ids {
		<-began
	}
	start(k, kind, h) // who takes over
	time.Sleep(10 * time.Second)
	tt.lose(t, k, first)
	time.Sleep(20 * time.Second)
	again := len(began)
	if want := map[bool]int{true: 0, false: len(ids)}[tt.left]; again != want {
		t.Errorf("%d run again, want %d", again, want)
	}
	for n, id := range ids {
		want := tt.want
		if n > 0 {
			want = tt.others
		}
		if got := charges(t, k, id); got != want {
			t.Errorf("job %d of %d is charged with %s, want %s", n, len(ids), got, want)
		}
	}
	close(release)
	for _, id := range ids {
		if info := wantState(t, k, id, jobs.StateCompleted); info.Attempt != 1 {
			t.Errorf("attempt %d, want 1", info.Attempt)
		}
	}
}

// TestSurvivorIsCleared: a suspect that fails by an error of its own, or puts itself
// off, is no suspect any more; one that is charged with a death stays one.
func TestSurvivorIsCleared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err        error
		dead, want string
	}{
		"fails":               {errBoom, "", "<nil> <nil>"},
		"snoozes":             {jobs.Snooze(time.Minute), "", "<nil> <nil>"},
		"fails after a death": {errBoom, "1", "<nil> 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.RetryBackoff(time.Minute, time.Minute))
				id := enqueue(t, k, kind)
				set := []any{"lmlost", 2}
				if tt.dead != "" {
					set = append(set, "lmdead", tt.dead)
				}
				k.Redis.HSet(t.Context(), "asynq:{lm.default}:t:"+id, set...)
				start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) { return result{}, tt.err })
				k.Until("it waits", func() bool {
					info, err := k.Client.Get(t.Context(), id)
					return err == nil && !info.NextAt.IsZero()
				})
				time.Sleep(time.Second)
				if got := charges(t, k, id); got != tt.want {
					t.Errorf("it is charged with %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// crowd notes what ran when.
type crowd struct {
	mu      sync.Mutex
	running map[string]int // by the worker's name
	ended   []string
	mixed   []string
}

// handle runs a job for as long as its name says: "<what> <duration> <n>".
func (c *crowd) handle(worker string) handler {
	return func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		var what string
		var ms, n int
		if _, err := fmt.Sscan(j.Args.Name, &what, &ms, &n); err != nil {
			return result{}, err
		}
		c.mu.Lock()
		if c.running[worker]++; what == "suspect" && c.running[worker] > 1 || c.running[worker] > 100 {
			c.mixed = append(c.mixed, j.Args.Name)
		}
		if what == "suspect" {
			c.running[worker] += 100
		}
		c.mu.Unlock()
		r, err := timed(time.Duration(ms)*time.Millisecond)(ctx, j)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.running[worker]--; what == "suspect" {
			c.running[worker] -= 100
		}
		c.ended = append(c.ended, what)
		return r, err
	}
}

// TestSuspectsStarveNobody: with many suspects among many others, and beside a long
// job, all have their turn. The names of the pools' jobs tell how long each takes.
func TestSuspectsStarveNobody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pools    int
		suspects int // 3 seconds each
		others   int // a second each
		long     int // 3 minutes each
		within   time.Duration
	}{
		"only suspects":                 {1, 10, 0, 0, 45 * time.Second},
		"one pool":                      {1, 6, 100, 0, 3 * time.Minute},
		"three pools":                   {3, 10, 100, 0, 2 * time.Minute},
		"a long job, and a free pool":   {2, 2, 50, 1, 3 * time.Minute},
		"a long job in the only pool":   {1, 2, 50, 1, 8 * time.Minute},
		"every pool has long jobs only": {2, 1, 0, 6, 8 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				c, kind := &crowd{running: map[string]int{}}, define(jobs.MaxRetry(0))
				var short []string
				add := func(what string, ms, n int) {
					h, err := kind.With(k.Client).Enqueue(t.Context(), args{fmt.Sprint(what, " ", ms, " ", n)})
					if err != nil {
						t.Fatal(err)
					}
					if what == "suspect" {
						k.Redis.HSet(t.Context(), "asynq:{lm.default}:t:"+h.ID, "lmlost", 2, "lmsus", time.Now().UnixMilli())
					}
					if what != "long" {
						short = append(short, h.ID)
					}
				}
				for n := range tt.long {
					add("long", int((3 * time.Minute).Milliseconds()), n)
				}
				for n := range tt.pools {
					worker := fmt.Sprint("w", n)
					k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Concurrency: 3}, func(p *jobs.Pool) { kind.Handle(p, c.handle(worker)) })
				}
				time.Sleep(time.Second)
				if err := k.Inspector().PauseQueue("lm.default"); err != nil {
					t.Fatal(err)
				}
				for n := range tt.suspects {
					add("suspect", 3000, n)
				}
				for n := range tt.others {
					add("other", 1000, n)
				}
				if err := k.Inspector().UnpauseQueue("lm.default"); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for _, id := range short {
					wantState(t, k, id, jobs.StateCompleted)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("all had run after %v, want at most %v", took, tt.within)
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				if len(c.mixed) > 0 {
					t.Errorf("not alone: %q", c.mixed)
				}
				if i := slices.Index(c.ended, "other"); tt.others > 0 && i > tt.pools {
					t.Errorf("%d ended before the first of the others: %q", i, c.ended[:i])
				}
			})
		})
	}
}
