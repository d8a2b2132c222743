package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// sized are arguments in which a field is required that others leave out.
type sized struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

func (s *sized) UnmarshalJSON(b []byte) error {
	type plain sized
	if err := json.Unmarshal(b, (*plain)(s)); err != nil {
		return err
	}
	if s.Size == 0 {
		return errors.New("no size")
	}
	return nil
}

// skew is a pair of versions: what is enqueued, and a worker that cannot run it.
type skew struct {
	name, code string
	kind       func(opts ...jobs.Option) *jobs.Kind[args, result]
	unable     func(*jobs.Pool)
}

func skews() []skew {
	codec := func(opts ...jobs.Option) *jobs.Kind[args, result] {
		return define(append(opts, jobs.Codecs(gobCodec("gob/2")))...)
	}
	return []skew{
		{"unknown kind", "unknown_kind", define, func(p *jobs.Pool) { jobs.Define[args, result]("test.other").Handle(p, quick) }},
		{"another type", "bad_args", define, unable[[]int]},
		{"another type of a field", "bad_args", define, unable[struct{ Name int }]},
		{"a field is required", "bad_args", define, unable[sized]},
		{"another codec", "bad_args", codec, unable[args]},
	}
}

// unable registers the kind with other arguments.
func unable[A any](p *jobs.Pool) {
	jobs.Define[A, result]("test.work").Handle(p, func(context.Context, *jobs.Job[A]) (result, error) { return result{}, errBoom })
}

// skewed are the jobs of every sort that a worker has to leave alone.
func skewed(t *testing.T, k *jobstest.Kit, kind *jobs.Kind[args, result]) (ids []string) {
	t.Helper()
	return []string{
		enqueue(t, k, kind), enqueue(t, k, kind, jobs.MaxRetry(0)), plain(t, k, kind), plain(t, k, kind, jobs.MaxRetry(0)),
		enqueue(t, k, kind, jobs.Unique(time.Hour)), enqueue(t, k, kind, jobs.Concurrency("k", 1), jobs.RateLimit("r", 100, time.Second)),
	}
}

// untouched checks that Asynq has counted nothing against anybody.
func untouched(t *testing.T, k *jobstest.Kit) {
	t.Helper()
	info, err := k.Inspector().GetQueueInfo("lm.default")
	if err != nil || info.FailedTotal != 0 || info.Archived != 0 {
		t.Errorf("queue = %+v, %v, want nothing failed", info, err)
	}
	list, err := k.Inspector().ListRetryTasks("lm.default")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range list {
		if task.Retried != 0 {
			t.Errorf("task %s was retried %d times", task.ID, task.Retried)
		}
	}
}

// TestVersionSkew: what a worker of another version cannot run waits for one that
// can, uncharged, whatever the job has or asks for.
func TestVersionSkew(t *testing.T) {
	t.Parallel()
	for _, tt := range skews() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				reg, log := prometheus.NewRegistry(), new(syncBuffer)
				cfg := jobs.PoolConfig{CheckInterval: checkEvery, ClientConfig: jobs.ClientConfig{
					Registerer: reg, Logger: slog.New(slog.NewTextHandler(log, nil)),
				}}
				k.Start(cfg, tt.unable)
				kind := tt.kind()
				ids := skewed(t, k, kind)
				want := float64(3 * len(ids))
				k.Until("all were put back", func() bool { return counter(t, reg, "jobs_version_skew_total", tt.code) >= want })
				untouched(t, k)
				if n := log.count("cannot run jobs of a kind"); n != 1 {
					t.Errorf("the log says so %d times, want once a kind", n)
				}
				begun := time.Now()
				start(k, kind, quick)
				for _, id := range ids {
					if info := wantState(t, k, id, jobs.StateCompleted); info.Attempt != 1 {
						t.Errorf("job %s: attempt %d, want 1", id, info.Attempt)
					}
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("the worker that can run them had them after %v", took)
				}
				for _, p := range k.Events("s") {
					if s := p.Event.State; s == jobs.StateRetrying || s == jobs.StateFailed || p.Event.Attempt > 1 {
						t.Errorf("the page was told %+v", p.Event)
					}
				}
				untouched(t, k)
			})
		})
	}
}

// TestVersionSkewEnds: after its time a job that nobody can run fails at once,
// whatever attempts it has left.
func TestVersionSkewEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range skews() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				k.Start(jobs.PoolConfig{CheckInterval: checkEvery, VersionSkew: 20 * time.Second}, tt.unable)
				begun := time.Now()
				for _, id := range skewed(t, k, tt.kind()) {
					info := wantState(t, k, id, jobs.StateFailed)
					if took := info.Ended.Sub(begun); info.Code != tt.code || info.Attempt != 1 || took < 20*time.Second || took > 25*time.Second {
						t.Errorf("job %s ended after %v: %+v, want %s", id, took, info, tt.code)
					}
				}
			})
		})
	}
}

// TestVersionSkewByDefault: an hour.
func TestVersionSkewByDefault(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		k.Start(jobs.PoolConfig{CheckInterval: 5 * time.Second}, unable[[]int])
		begun := time.Now()
		id := enqueue(t, k, define())
		time.Sleep(59 * time.Minute) // a kit waits for half an hour
		info := k.Wait(id)
		if took := info.Ended.Sub(begun); info.Code != "bad_args" || took < time.Hour || took > 61*time.Minute {
			t.Errorf("ended after %v: %+v", took, info)
		}
		if _, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{VersionSkew: time.Millisecond}); err == nil {
			t.Error("a millisecond is accepted")
		}
	})
}

// TestVersionSkewIsNew: a job that could be run meanwhile has its whole time again.
func TestVersionSkewIsNew(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(*testing.T, *jobstest.Kit, *jobs.Kind[args, result], ...jobs.Option) string{"told": enqueue, "plain": plain} {
		for verb, back := range map[string]error{"snoozes": jobs.Snooze(10 * time.Second), "fails": errBoom} {
			t.Run(name+" "+verb, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					reg := prometheus.NewRegistry()
					old := func() *jobstest.Worker {
						return k.Start(jobs.PoolConfig{CheckInterval: checkEvery, VersionSkew: time.Minute, ClientConfig: jobs.ClientConfig{Registerer: reg}}, unable[[]int])
					}
					const metric = "jobs_version_skew_total"
					first := old()
					kind := define(jobs.RetryBackoff(10*time.Second, 10*time.Second))
					id := put(t, k, kind)
					time.Sleep(40 * time.Second)
					stop(t, first)
					var ran atomic.Int32
					able := func() *jobstest.Worker {
						return start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
							if ran.Add(1) == 1 {
								return result{}, back
							}
							return result{7}, nil
						})
					}
					second := able()
					k.Until("it has run", func() bool { return ran.Load() == 1 })
					stop(t, second)
					before := counter(t, reg, metric, "bad_args")
					third := old()
					time.Sleep(50 * time.Second)
					if counter(t, reg, metric, "bad_args") == before {
						t.Error("the worker that cannot run it had no second look")
					}
					stop(t, third)
					able()
					wantState(t, k, id, jobs.StateCompleted)
				})
			})
		}
	}
}

func stop(t *testing.T, w *jobstest.Worker) {
	t.Helper()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestVersionSkewBehindMiddleware: what the arguments are is known in the run
// alone, which is taken back.
func TestVersionSkewBehindMiddleware(t *testing.T) {
	t.Parallel()
	// Workers that wait are woken in turn, so who gets a task is luck: time for many turns.
	through := jobs.PoolConfig{CheckInterval: checkEvery, VersionSkew: 5 * time.Minute, Work: []jobs.Middleware[[]byte]{
		func(next func(context.Context, *jobs.Work) ([]byte, error)) func(context.Context, *jobs.Work) ([]byte, error) {
			return func(ctx context.Context, w *jobs.Work) ([]byte, error) {
				b, err := next(ctx, w)
				if err != nil {
					return nil, fmt.Errorf("wrapped: %w", err)
				}
				return b, nil
			}
		},
	}}
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		old := k.Start(through, unable[[]int])
		ids := skewed(t, k, define())
		time.Sleep(10 * time.Second)
		untouched(t, k)
		start(k, define(), quick)
		for _, id := range ids {
			if info := wantState(t, k, id, jobs.StateCompleted); info.Attempt != 1 {
				t.Errorf("job %s: attempt %d, want 1", id, info.Attempt)
			}
		}
		untouched(t, k)
		stop(t, old)
	})
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		k.Start(through, unable[[]int])
		for _, id := range skewed(t, k, define()) {
			if info := wantState(t, k, id, jobs.StateFailed); info.Code != "bad_args" || info.Attempt != 1 {
				t.Errorf("job %s: %+v, want bad_args in attempt 1", id, info)
			}
		}
	})
}

// TestTaskOfAnotherForm: what a later version says of a job in its task may be
// unreadable here. It waits too, and ends with its code if there is a record.
func TestTaskOfAnotherForm(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(headers map[string]string){
		"options":       func(h map[string]string) { h["lm-opt"] = `{"t":"30m"}` },
		"no options":    func(h map[string]string) { delete(h, "lm-opt") },
		"generation":    func(h map[string]string) { h["lm-gen"] = "1/2" },
		"no generation": func(h map[string]string) { delete(h, "lm-gen") },
		"no ID":         func(h map[string]string) { delete(h, "lm-id") },
		"plain":         func(h map[string]string) { h["lm-plain"] = "now {}" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define()
				id := enqueue(t, k, kind)
				task, err := k.Inspector().GetTaskInfo("lm.default", id)
				if err != nil {
					t.Fatal(err)
				}
				if err := k.Inspector().DeleteTask("lm.default", id); err != nil {
					t.Fatal(err)
				}
				change(task.Headers)
				_, err = asynq.NewClientFromRedisClient(k.Redis).EnqueueContext(t.Context(), asynq.NewTaskWithHeaders(task.Type, task.Payload, task.Headers),
					asynq.TaskID(id), asynq.Queue("lm.default"), asynq.MaxRetry(1))
				if err != nil {
					t.Fatal(err)
				}
				k.Start(jobs.PoolConfig{CheckInterval: checkEvery, VersionSkew: 20 * time.Second}, func(p *jobs.Pool) { kind.Handle(p, quick) })
				time.Sleep(15 * time.Second)
				untouched(t, k)
				if info, err := k.Client.Get(t.Context(), id); err != nil || info.State != jobs.StateQueued {
					t.Errorf("job = %+v, %v, want it to wait", info, err)
				}
				end := wantEnd(t, k, id, jobs.StateFailed)
				if strings.Contains(name, "options") && end.Event.Code != "bad_format" {
					t.Errorf("code = %s, want bad_format", end.Event.Code)
				}
			})
		})
	}
}

// TestTwoVersionsOnOneRedis: a real Redis, an old and a new worker side by side.
func TestTwoVersionsOnOneRedis(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, redistest.Config{}).Client(t)
	old := newApp(t, rdb, "p", "default", quick)
	oldKind := jobs.Define[[]int, result]("test.pay")
	oldKind.Handle(old.pool, func(context.Context, *jobs.Job[[]int]) (result, error) { return result{}, errBoom })
	young := newApp(t, rdb, "p", "default", quick)
	pay := jobs.Define[string, result]("test.pay", jobs.MaxRetry(0)).With(young.client)
	fresh := jobs.Define[string, result]("test.fresh", jobs.MaxRetry(0)).With(young.client)
	for _, kind := range []*jobs.Kind[string, result]{pay, fresh} {
		kind.Handle(young.pool, func(context.Context, *jobs.Job[string]) (result, error) { return result{7}, nil })
	}
	old.work()
	var ids []string
	for i := range 20 {
		opts := []jobs.Option{}
		if i%2 == 0 {
			opts = append(opts, jobs.Notify(young.pub.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed")))
		}
		for _, kind := range []*jobs.Kind[string, result]{pay, fresh} {
			h, err := kind.Enqueue(t.Context(), "12.50", opts...)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, h.ID)
		}
		if i == 10 {
			patience.Until(t, "the old worker has met both", func() bool {
				return counter(t, old.seen, "jobs_version_skew_total", "bad_args") > 0 && counter(t, old.seen, "jobs_version_skew_total", "unknown_kind") > 0
			})
			young.work()
		}
	}
	for _, id := range ids {
		young.wait(id, jobs.StateCompleted)
		if info, err := young.client.Get(t.Context(), id); err != nil || info.Attempt != 1 {
			t.Errorf("job = %+v, %v, want one attempt", info, err)
		}
	}
	old.wait(old.enqueue("both can"), jobs.StateCompleted)
	if info, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo("p.default"); err != nil || info.FailedTotal != 0 {
		t.Errorf("queue = %+v, %v, want nothing failed", info, err)
	}
}
