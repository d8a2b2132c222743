package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// line notes in which order jobs ran, and how many at a time.
type line struct {
	mu        sync.Mutex
	order     []string
	now, most int
}

func (l *line) handler(hold time.Duration) handler {
	return func(_ context.Context, j *jobs.Job[args]) (result, error) {
		l.mu.Lock()
		l.order = append(l.order, j.Args.Name)
		l.now++
		l.most = max(l.most, l.now)
		l.mu.Unlock()
		time.Sleep(hold)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.now--
		return result{j.Attempt}, nil
	}
}

func (l *line) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.order)
}

func (l *line) want(t *testing.T, n, most int) {
	t.Helper()
	got := l.names()
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("%d of %d jobs ran, in the order %v", len(got), n, got)
	}
	if l.most > most {
		t.Errorf("%d at a time, want %d", l.most, most)
	}
}

func join(t *testing.T, kind *jobs.Kind[args, result], name string, opts ...jobs.Option) string {
	t.Helper()
	h, err := kind.Enqueue(t.Context(), args{name}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h.ID
}

// TestFirstComeFirstServed: jobs behind a limit run one after the other in the
// order in which they were enqueued, over queues and workers, and waiting is no
// attempt and no failure.
func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		reg := prometheus.NewRegistry()
		kind := define(jobs.Concurrency("k", 1), jobs.MaxRetry(0)).With(k.Client)
		l := new(line)
		for range 3 {
			cfg := jobs.PoolConfig{CheckInterval: checkEvery, Queues: map[string]int{"default": 1, "other": 1}, ClientConfig: jobs.ClientConfig{Registerer: reg}}
			k.Start(cfg, func(p *jobs.Pool) { kind.Handle(p, l.handler(time.Second)) })
		}
		var ids []string
		for i := range 40 {
			ids = append(ids, join(t, kind, fmt.Sprintf("%02d", i), notify(k), jobs.Queue([]string{"default", "other"}[i%2])))
		}
		k.Until("they wait", func() bool {
			info, err := k.Client.Get(t.Context(), ids[39])
			return err == nil && info.State == jobs.StateScheduled && info.WaitsFor == "concurrency 1 k" && info.Attempt == 0
		})
		for _, id := range ids {
			if end := wantEnd(t, k, id, jobs.StateCompleted); end.Event.Attempt != 1 {
				t.Errorf("attempt = %d, want 1", end.Event.Attempt)
			}
		}
		l.want(t, 40, 1)
		for _, q := range []string{"lm.default", "lm.other"} {
			if info, err := k.Inspector().GetQueueInfo(q); err != nil || info.FailedTotal != 0 || info.Retry != 0 {
				t.Errorf("queue %+v, %v, want nothing failed", info, err)
			}
		}
		if looks := counter(t, reg, "jobs_attempts_total", "scheduled"); looks > 60 {
			t.Errorf("%v looks for a place, want about one each", looks)
		}
		if slices.Contains(actions(k), "Retrying") {
			t.Error("the page was told of a retry")
		}
	})
}

// TestRatesInOrder: so do jobs behind a rate.
func TestRatesInOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.RateLimit("k", 1, 5*time.Second)).With(k.Client)
		l := new(line)
		start(k, kind, l.handler(0))
		for i := range 12 {
			join(t, kind, fmt.Sprintf("%02d", i))
		}
		begun := time.Now()
		k.Drain()
		l.want(t, 12, 1)
		if took := time.Since(begun); took < 55*time.Second || took > 75*time.Second {
			t.Errorf("12 jobs, one in 5 seconds, took %v", took)
		}
	})
}

// TestWaitersThatGoAway: who is cancelled, deleted or in a paused queue keeps
// nobody waiting; nor does a holder that dies.
func TestWaitersThatGoAway(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		leave func(t *testing.T, k *jobstest.Kit, id string)
		runs  bool // once the queue goes on
	}{
		"cancelled": {func(t *testing.T, k *jobstest.Kit, id string) {
			t.Helper()
			if err := k.Client.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}, false},
		"deleted": {func(t *testing.T, k *jobstest.Kit, id string) {
			t.Helper()
			if err := k.Inspector().DeleteTask("lm.other", id); err != nil {
				t.Fatal(err)
			}
		}, false},
		"archived": {func(t *testing.T, k *jobstest.Kit, id string) {
			t.Helper()
			if err := k.Inspector().ArchiveTask("lm.other", id); err != nil {
				t.Fatal(err)
			}
		}, false},
		"paused": {func(t *testing.T, k *jobstest.Kit, _ string) {
			t.Helper()
			if err := k.Inspector().PauseQueue("lm.other"); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.Concurrency("k", 1)).With(k.Client)
				l := new(line)
				k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Queues: map[string]int{"default": 1, "other": 1}}, func(p *jobs.Pool) { kind.Handle(p, l.handler(5*time.Second)) })
				join(t, kind, "1")
				k.Until("the first runs", func() bool { return len(l.names()) == 1 })
				gone := join(t, kind, "2", jobs.Queue("other"))
				last := join(t, kind, "3")
				k.WaitState(gone, jobs.StateScheduled)
				k.WaitState(last, jobs.StateScheduled)
				tt.leave(t, k, gone)
				begun := time.Now()
				wantState(t, k, last, jobs.StateCompleted)
				if took := time.Since(begun); took > 15*time.Second {
					t.Errorf("the last one was done after %v", took)
				}
				if tt.runs {
					if err := k.Inspector().UnpauseQueue("lm.other"); err != nil {
						t.Fatal(err)
					}
					wantState(t, k, gone, jobs.StateCompleted)
				} else if k.Drain(); slices.Contains(l.names(), "2") {
					t.Error("who went away ran")
				}
			})
		})
	}
	t.Run("holder dies", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define(jobs.Concurrency("k", 1)).With(k.Client)
			l, dead := new(line), make(chan struct{})
			defer close(dead)
			first := start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
				r, err := l.handler(0)(ctx, j)
				<-dead
				return r, err
			})
			join(t, kind, "1")
			k.Until("the first runs", func() bool { return len(l.names()) == 1 })
			second := new(line)
			start(k, kind, second.handler(time.Second))
			waits := join(t, kind, "2")
			k.WaitState(waits, jobs.StateScheduled)
			first.Crash()
			begun := time.Now()
			wantState(t, k, waits, jobs.StateCompleted)
			if took := time.Since(begun); took > 45*time.Second {
				t.Errorf("the place was free after %v", took)
			}
		})
	})
}

// TestLimitsAllOrNone: a job with two limits keeps nothing of one while it waits
// for the other.
func TestLimitsAllOrNone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define().With(k.Client)
		var a, both line
		var inA, inB atomic.Int32
		start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			if strings.HasPrefix(j.Args.Name, "a") {
				if inA.Add(1) > 1 {
					t.Error("two hold a")
				}
				defer inA.Add(-1)
				return a.handler(time.Second)(ctx, j)
			}
			if inA.Add(1) > 1 || inB.Add(1) > 1 {
				t.Error("two hold a or b")
			}
			defer inA.Add(-1)
			defer inB.Add(-1)
			return both.handler(10*time.Second)(ctx, j)
		})
		one, two := jobs.Concurrency("a", 1), jobs.Concurrency("b", 1)
		var ids []string
		for i := range 3 {
			ids = append(ids, join(t, kind, fmt.Sprint("both", i), one, two), join(t, kind, fmt.Sprint("a", i), one), join(t, kind, fmt.Sprint("both2", i), two, one))
		}
		for _, id := range ids {
			wantState(t, k, id, jobs.StateCompleted)
		}
		if _, err := kind.Enqueue(t.Context(), args{}, slices.Repeat([]jobs.Option{one}, 17)...); err == nil {
			t.Error("17 limits were accepted")
		}
	})
}

// TestLimitKeysApart: keys that look alike are limits of their own.
func TestLimitKeysApart(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		release := make(chan struct{})
		var ran atomic.Int32
		hold := func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			ran.Add(1)
			<-release
			return quick(ctx, j)
		}
		kinds := []*jobs.Kind[args, result]{jobs.Define[args, result]("a"), jobs.Define[args, result]("a.b")}
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Concurrency: 100}, func(p *jobs.Pool) {
			for _, kind := range kinds {
				kind.Handle(p, hold)
			}
		})
		n := int32(0)
		for _, kind := range kinds {
			for _, key := range []string{"", "b", "b:c", "b:c:w", "b}", "b}:w", "{b", "b%3Ac", "b:h", ":"} {
				join(t, kind.With(k.Client), "x", jobs.Concurrency(key, 1))
				n++
			}
		}
		k.Until("all run", func() bool { return ran.Load() == n })
		close(release)
		k.Drain()
	})
}

// TestLimitOnRedis: on a real Redis, as fast as they can one after the other.
func TestLimitOnRedis(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, redistest.Config{}).Client(t)
	l := new(line)
	a := newApp(t, rdb, "p", "default", l.handler(5*time.Millisecond))
	a.work()
	b := newApp(t, rdb, "p", "default", l.handler(5*time.Millisecond))
	b.work()
	begun := time.Now()
	for i := range 200 {
		a.enqueue(fmt.Sprintf("%03d", i), jobs.Concurrency("k", 1))
	}
	patience.Until(t, "all have run", func() bool { return len(l.names()) == 200 })
	t.Logf("200 jobs of 5 ms, one at a time: %v", time.Since(begun))
	l.want(t, 200, 1)
	begun = time.Now()
	for range 20 {
		a.enqueue("x", jobs.Concurrency("k2", 1))
	}
	patience.Until(t, "all have run", func() bool { return len(l.names()) == 220 })
	t.Logf("20 jobs of 5 ms, one at a time: %v", time.Since(begun))
}
