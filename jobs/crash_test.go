package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// quick returns at once.
func quick(context.Context, *jobs.Job[args]) (result, error) { return result{7}, nil }

func TestCrashMidJobStallsThenCompletes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		first := start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		})
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		start(k, kind, quick) // another worker, which finds out
		died := time.Now()
		first.Crash()
		k.WaitState(id, jobs.StateStalled)
		if d := time.Since(died); d > 15*time.Second {
			t.Errorf("stalled after %v, want at most 15s", d)
		}
		end := wantEnd(t, k, id, jobs.StateCompleted)
		if end.Event.Attempt != 1 {
			t.Errorf("attempt = %d, want 1: a death is no attempt", end.Event.Attempt)
		}
		if !slices.Contains(actions(k), "Stalled") {
			t.Errorf("events = %v, want a Stalled", actions(k))
		}
	})
}

// A worker that was cut off and comes back is not stalled any more, and the page
// hears of both, each time.
func TestStalledJobComesBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		release := make(chan struct{})
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			<-release
			return result{7}, nil
		})
		watcher, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = watcher.Watch(ctx) }()
		id := enqueue(t, k, kind)
		k.Until("the page hears of the start", func() bool { return slices.Contains(actions(k), "Started") })
		for range 2 {
			k.Outage(20 * time.Second)
			time.Sleep(30 * time.Second)
		}
		close(release)
		wantEnd(t, k, id, jobs.StateCompleted)
		want := []string{"Queued", "Started", "Stalled", "Started", "Stalled", "Started", "Done"}
		if got := actions(k); !slices.Equal(got, want) {
			t.Errorf("events = %v, want %v", got, want)
		}
	})
}

// TestCrashOnLastAttemptRunsAgain: MaxRetry counts what failed, and nothing did.
func TestCrashOnLastAttemptRunsAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		var ran atomic.Int32
		h := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			if ran.Add(1) == 1 {
				<-ctx.Done()
			}
			return result{7}, ctx.Err()
		}
		first := start(k, kind, h)
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateRunning)
		first.Crash()
		start(k, kind, h)
		end := wantEnd(t, k, id, jobs.StateCompleted)
		if end.Event.Attempt != 1 || ran.Load() != 2 {
			t.Errorf("attempt %d after %d runs, want 1 after 2", end.Event.Attempt, ran.Load())
		}
	})
}

// A worker that dies between any two steps of a job's end neither loses the
// event nor doubles it.
func TestCrashAroundTheTerminalPush(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		setup func(k *jobstest.Kit, crash func())
	}{
		{"between decision and push", func(k *jobstest.Kit, crash func()) {
			k.OnPush(func(m push.Message) error {
				if !m.Final {
					return nil
				}
				crash()
				return errors.New("dead")
			}, nil)
		}},
		{"between push and settling", func(k *jobstest.Kit, crash func()) {
			k.OnPush(nil, func(m push.Message) {
				if m.Final {
					crash()
				}
			})
		}},
	} {
		for _, fate := range []jobs.State{jobs.StateCompleted, jobs.StateFailed} {
			t.Run(tt.name+" "+string(fate), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					kind := define(jobs.MaxRetry(0))
					var ran atomic.Int32
					h := func(context.Context, *jobs.Job[args]) (result, error) {
						ran.Add(1)
						if fate == jobs.StateFailed {
							return result{}, errBoom
						}
						return result{7}, nil
					}
					var crashed atomic.Bool
					first := start(k, kind, h)
					tt.setup(k, func() {
						crashed.Store(true)
						k.OnPush(nil, nil)
						first.Crash()
					})
					id := enqueue(t, k, kind)
					k.Until("the worker crashes", crashed.Load)
					start(k, kind, h)
					wantEnd(t, k, id, fate)
					time.Sleep(5 * time.Minute) // the task comes back
					wantEnd(t, k, id, fate)
					if ran.Load() != 1 {
						t.Errorf("the handler ran %d times, want 1", ran.Load())
					}
				})
			})
		}
	}
}

// Asynq forgets a handler's success when Redis is away at that moment; the hook
// on the server's client keeps it.
func TestOutageWhenTheHandlerEnds(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{8 * time.Second, 45 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define()
				var ran atomic.Int32
				release := make(chan struct{})
				start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
					if ran.Add(1) == 1 {
						<-release
					}
					return result{7}, nil
				})
				id := enqueue(t, k, kind)
				k.WaitState(id, jobs.StateRunning)
				time.AfterFunc(time.Second, func() { close(release) })
				k.Outage(d)
				wantEnd(t, k, id, jobs.StateCompleted)
				time.Sleep(5 * time.Minute)
				wantEnd(t, k, id, jobs.StateCompleted)
				if d < 20*time.Second && ran.Load() != 1 {
					t.Errorf("ran %d times, want 1", ran.Load())
				}
			})
		})
	}
}

// The hook lets Asynq's own bookkeeping survive the same outage: the task is
// done as soon as Redis is back and not run again.
func TestOutageWhileAsynqMarksTheTaskDone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, quick)
		var once atomic.Bool
		k.OnPush(nil, func(m push.Message) {
			if m.Final && once.CompareAndSwap(false, true) {
				go k.Outage(8 * time.Second)
			}
		})
		id := enqueue(t, k, kind)
		wantEnd(t, k, id, jobs.StateCompleted)
		k.Until("Asynq has forgotten the task", func() bool {
			n, err := k.Redis.Exists(t.Context(), "asynq:{lm.default}:t:"+id).Result()
			return err == nil && n == 0
		})
		time.Sleep(3 * time.Minute)
		wantEnd(t, k, id, jobs.StateCompleted)
	})
}

func TestRefusingRedisDoesNotSpin(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) { kind.Handle(p, quick) })
		wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
		k.Fail("OOM command not allowed when used memory > 'maxmemory'.")
		before := k.Commands()
		time.Sleep(time.Minute)
		// A minute of an idle pool is some 3,000 looks; a spinning one never
		// lets the fake clock move at all.
		if n := k.Commands() - before; n > 4000 {
			t.Errorf("%d commands in a minute of refusals", n)
		}
		k.Fail("")
		wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
	})
}

func TestTimeoutWithADeafHandler(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(4), jobs.Timeout(time.Second), jobs.RetryBackoff(time.Second, time.Second))
		var running, most atomic.Int32
		reg := prometheus.NewRegistry()
		abandoned := func(want float64) {
			t.Helper()
			const name = "# HELP jobs_abandoned_handlers Handlers that still run although their execution is over.\n# TYPE jobs_abandoned_handlers gauge\njobs_abandoned_handlers "
			if err := testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf("%s%v\n", name, want)), "jobs_abandoned_handlers"); err != nil {
				t.Error(err)
			}
		}
		cfg := jobs.PoolConfig{Concurrency: 1, Grace: time.Second, ClientConfig: jobs.ClientConfig{Registerer: reg}}
		k.Start(cfg, func(p *jobs.Pool) {
			kind.Handle(p, func(_ context.Context, j *jobs.Job[args]) (result, error) {
				n := running.Add(1)
				defer running.Add(-1)
				most.Store(max(most.Load(), n))
				time.Sleep(30 * time.Second) // deaf
				j.Progress(1, "too late")
				return result{j.Attempt}, nil
			})
		})
		end := wantEnd(t, k, enqueue(t, k, kind), jobs.StateFailed)
		if end.Event.Code != "timeout" || end.Event.Attempt != 5 {
			t.Errorf("event = %+v, want timeout in attempt 5", end.Event)
		}
		if most.Load() < 2 {
			t.Errorf("%d copies at once: the case does not show the fence", most.Load())
		}
		abandoned(5)
		time.Sleep(2 * time.Minute) // the copies end and have nothing to say
		wantEnd(t, k, end.Event.ID, jobs.StateFailed)
		abandoned(0)
		if slices.Contains(actions(k), "Progress") {
			t.Error("a handler that was given up reported progress")
		}
	})
}

func TestLostRecordsAndTasks(t *testing.T) {
	t.Parallel()
	t.Run("enqueuer died before the task", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			id := enqueue(t, k, kind) // no worker yet
			if err := k.Inspector().DeleteTask("lm.default", id); err != nil {
				t.Fatal(err)
			}
			start(k, kind, quick)
			end := wantEnd(t, k, id, jobs.StateLost)
			if end.Action != "Lost" {
				t.Errorf("action = %s, want Lost", end.Action)
			}
		})
	})
	t.Run("flushed", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			kind := define()
			start(k, kind, quick)
			wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
			if err := k.Redis.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
			k.Until("the queue is known again", func() bool {
				qs, err := k.Inspector().Queues()
				return err == nil && slices.Contains(qs, "lm.default")
			})
		})
	})
}
