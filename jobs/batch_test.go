package jobs_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// counted starts a worker whose handler counts its runs by argument; "bad" fails
// until it is mended. Its batches' last step counts the states of the members.
type counted struct {
	mu     sync.Mutex
	runs   map[string]int
	mended atomic.Bool
	kind   *jobs.Kind[args, result]
	last   *jobs.Kind[string, map[jobs.State]int]
}

func countRuns(k *jobstest.Kit, opts ...jobs.Option) *counted {
	return countRunsWith(k, jobs.ClientConfig{}, opts...)
}

type put = func(context.Context, *jobs.Work) (jobs.Handle, error)

func countRunsWith(k *jobstest.Kit, cfg jobs.ClientConfig, opts ...jobs.Option) *counted {
	c := &counted{runs: map[string]int{}, kind: define(append([]jobs.Option{jobs.MaxRetry(0)}, opts...)...)}
	c.last = jobs.Define[string, map[jobs.State]int]("test.last", jobs.MaxRetry(0))
	k.Start(jobs.PoolConfig{ClientConfig: cfg, CheckInterval: checkEvery}, func(p *jobs.Pool) {
		c.kind.Handle(p, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.runs[j.Args.Name]++
			if j.Args.Name == "bad" && !c.mended.Load() {
				return result{}, errBoom
			}
			return result{len(j.Args.Name)}, nil
		})
		c.last.Handle(p, func(ctx context.Context, j *jobs.Job[string]) (map[jobs.State]int, error) {
			infos, err := p.Client().BatchOf(ctx, j.Args)
			got := make(map[jobs.State]int)
			for _, i := range infos {
				got[i.State]++
			}
			return got, err
		})
	})
	return c
}

func (c *counted) steps(names ...string) (steps []jobs.Step) {
	for _, n := range names {
		steps = append(steps, c.kind.Step(args{n}))
	}
	return steps
}

func (c *counted) ran(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[name]
}

// A batch is known for longer than its members: its call enqueues nothing twice,
// and its last step sees all of them.
func TestBatchOutlivesItsMembers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		c := countRuns(k, jobs.Retention(time.Second))
		steps := append(c.steps("a", "b", "c"), c.kind.Step(args{"late"}, jobs.ProcessIn(time.Minute)))
		batch := func() error { return k.Client.Batch(t.Context(), "b1", steps, c.last.Step("b1", notify(k))) }
		if err := batch(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second)
		if _, err := k.Client.Get(t.Context(), "b1:0"); !errors.Is(err, jobs.ErrNotFound) {
			t.Fatalf("the first member's retention is not over: %v", err)
		}
		if err := batch(); err != nil {
			t.Fatal(err)
		}
		info := k.Wait("b1:finally")
		if got, err := c.last.Result(info); err != nil || got[jobs.StateCompleted] != 4 {
			t.Errorf("the last step saw %v, %v, want 4 that completed", got, err)
		}
		for _, name := range []string{"a", "b", "c", "late"} {
			if n := c.ran(name); n != 1 {
				t.Errorf("%s ran %d times", name, n)
			}
		}
		infos, err := k.Client.BatchOf(t.Context(), "b1")
		if err != nil || len(infos) != 4 {
			t.Fatalf("BatchOf = %+v, %v", infos, err)
		}
		if r, err := c.kind.Result(infos[1]); err != nil || r.Size != 1 || infos[1].ID != "b1:1" {
			t.Errorf("a member whose retention is over: %+v, %v", infos[1], err)
		}
		if n := len(k.Terminal("s", "b1:finally")); n != 1 {
			t.Errorf("the last step ended %d times", n)
		}
	})
}

// Whatever call of a batch the process dies in, all of it comes or nothing.
func TestBatchWhoseMakerDies(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 3} {
		t.Run(strconv.Itoa(after), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				c := countRuns(k)
				n := 0
				stop := func(next put) put {
					return func(ctx context.Context, w *jobs.Work) (jobs.Handle, error) {
						if n++; n > after {
							return jobs.Handle{}, errBoom
						}
						return next(ctx, w)
					}
				}
				dying, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{Middleware: []jobs.Middleware[jobs.Handle]{stop}})
				if err != nil {
					t.Fatal(err)
				}
				err = dying.Batch(t.Context(), "b", c.steps("a", "b", "c", "d", "e"), c.last.Step("b", notify(k)))
				if !errors.Is(err, errBoom) {
					t.Fatalf("Batch = %v", err)
				}
				info := k.Wait("b:finally")
				if got, err := c.last.Result(info); err != nil || got[jobs.StateCompleted] != 5 {
					t.Errorf("the last step saw %v, %v", got, err)
				}
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					if n := c.ran(name); n != 1 {
						t.Errorf("%s ran %d times", name, n)
					}
				}
			})
		})
	}
}

// A member that is refused for good counts as failed, so the others are not kept
// from their last step.
func TestBatchWithRefusedMember(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		refuse := func(next put) put {
			return func(ctx context.Context, w *jobs.Work) (jobs.Handle, error) {
				if w.ID == "b:1" {
					return jobs.Handle{}, jobs.ErrInvalid
				}
				return next(ctx, w)
			}
		}
		cfg := jobs.ClientConfig{Middleware: []jobs.Middleware[jobs.Handle]{refuse}}
		c := countRunsWith(k, cfg)
		client, err := jobs.NewClient(k.Redis, k.Publisher, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Batch(t.Context(), "b", c.steps("a", "b", "c"), c.last.Step("b", notify(k))); !errors.Is(err, jobs.ErrInvalid) {
			t.Fatalf("Batch = %v, want ErrInvalid", err)
		}
		got, err := c.last.Result(k.Wait("b:finally"))
		if err != nil || got[jobs.StateCompleted] != 2 || got[jobs.StateFailed] != 1 {
			t.Errorf("the last step saw %v, %v, want 2 that completed and 1 that failed", got, err)
		}
	})
}

// A member that an operator retries after the last step has run makes that run
// again, which then sees the new end.
func TestMemberRetriedAfterTheLastStep(t *testing.T) {
	t.Parallel()
	for _, keep := range []time.Duration{24 * time.Hour, time.Second} {
		t.Run(keep.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				c := countRuns(k)
				step := c.last.Step("b", notify(k), jobs.Retention(keep))
				if err := k.Client.Batch(t.Context(), "b", c.steps("a", "bad"), step); err != nil {
					t.Fatal(err)
				}
				ended := func(n int) {
					t.Helper()
					k.Until("the last step ends again", func() bool { return len(k.Terminal("s", "b:finally")) == n })
				}
				ended(1)
				time.Sleep(5 * time.Second)
				c.mended.Store(true)
				if err := k.Client.Retry(t.Context(), "b:1"); err != nil {
					t.Fatal(err)
				}
				if keep < time.Minute {
					// Its record is gone, so it is a new job, whose push is known: the result tells.
					k.Until("the last step runs again", func() bool {
						i, err := k.Client.Get(t.Context(), "b:finally")
						if err != nil {
							return false
						}
						got, err := c.last.Result(i)
						return err == nil && got[jobs.StateCompleted] == 2
					})
					return
				}
				ended(2)
				info := k.Wait("b:finally")
				got, err := c.last.Result(info)
				if err != nil || info.Gen != 2 || got[jobs.StateCompleted] != 2 {
					t.Errorf("generation %d of the last step saw %v, %v", info.Gen, got, err)
				}
				time.Sleep(10 * time.Minute)
				if n := len(k.Terminal("s", "b:finally")); n != 2 {
					t.Errorf("the last step ended %d times", n)
				}
			})
		})
	}
}

// A chain is stored once, not once more with each of its jobs.
func TestChainIsStoredOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		c := countRuns(k)
		const n, size = 100, 1 << 10
		var steps []jobs.Step
		for i := range n {
			steps = append(steps, c.kind.Step(args{strconv.Itoa(1000+i) + strings.Repeat("x", size)}))
		}
		if _, err := c.kind.With(k.Client).Enqueue(t.Context(), args{"first"}, jobs.ID("c"), jobs.Then(steps...)); err != nil {
			t.Fatal(err)
		}
		// Its ID again: the chain that is there stays the one.
		if h, err := c.kind.With(k.Client).Enqueue(t.Context(), args{"first"}, jobs.ID("c"), jobs.Then(steps...)); err != nil || !h.Existing {
			t.Fatalf("again: %+v, %v", h, err)
		}
		k.Wait("c+" + strconv.Itoa(n))
		stored := 0
		for _, key := range k.Redis.Keys(t.Context(), "*:jobs:*").Val() {
			if k.Redis.Type(t.Context(), key).Val() != "hash" {
				continue
			}
			for field, v := range k.Redis.HGetAll(t.Context(), key).Val() {
				stored += len(field) + len(v)
			}
		}
		if most := 3 * n * size; stored > most {
			t.Errorf("%d bytes are stored of a chain of %d, want at most %d", stored, n*size, most)
		}
		if err := k.Client.Retry(t.Context(), "c+98"); err != nil { // two steps follow it
			t.Fatal(err)
		}
		k.Wait("c+98+g2+100")
	})
}

// What a handler enqueues is enqueued once, however often it runs and in whatever
// order its goroutines come.
func TestChildrenOfARetriedHandler(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]jobs.Option{"plain": nil, "with an ID": {jobs.ID("parent")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				parent := jobs.Define[int, int]("test.parent", jobs.MaxRetry(5), jobs.RetryBackoff(time.Second, time.Second))
				kind := define(jobs.MaxRetry(0))
				var mu sync.Mutex
				ran := map[string]int{}
				k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) {
					kind.Handle(p, func(_ context.Context, j *jobs.Job[args]) (result, error) {
						mu.Lock()
						defer mu.Unlock()
						ran[j.Args.Name]++
						return result{}, nil
					})
					parent.Handle(p, func(ctx context.Context, j *jobs.Job[int]) (int, error) {
						names := []string{"a", "b", "c", "c"}
						if j.Attempt == 1 {
							names = []string{"b"} // got half way
						}
						for _, n := range names {
							ctx, stop := context.WithTimeout(ctx, time.Minute)
							_, err := kind.Enqueue(ctx, args{n})
							stop()
							if err != nil {
								return 0, err
							}
						}
						if j.Attempt <= 2 {
							return 0, errBoom
						}
						return 1, nil
					})
				})
				h, err := parent.With(k.Client).Enqueue(t.Context(), 1, opts...)
				if err != nil {
					t.Fatal(err)
				}
				k.Wait(h.ID)
				k.Drain()
				want := func(n int) {
					t.Helper()
					mu.Lock()
					defer mu.Unlock()
					if ran["a"] != n || ran["b"] != n || ran["c"] != 2*n {
						t.Errorf("children ran %v, want %d, %d and %d times", ran, n, n, 2*n)
					}
				}
				want(1)
				if err := k.Client.Retry(t.Context(), h.ID); err != nil { // another generation has its own
					t.Fatal(err)
				}
				k.Until("the next generation ends", func() bool {
					i, err := k.Client.Get(t.Context(), h.ID)
					return err == nil && i.Gen == 2 && i.State.Ended()
				})
				k.Drain()
				want(2)
			})
		})
	}
}
