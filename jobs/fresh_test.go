package jobs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// notifyEnds binds the ends and progress to session "s", so that a job's first
// execution needs no word to its record.
func notifyEnds(k *jobstest.Kit) jobs.Option {
	return jobs.Notify(k.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.OnProgress("Progress"))
}

func enqueueFresh(t *testing.T, k *jobstest.Kit, c *jobs.Client) string {
	t.Helper()
	h, err := define().With(c).Enqueue(t.Context(), args{"a"}, notifyEnds(k))
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return h.ID
}

// calls counts the scripts of jobs' steps, and loses the answer to one that has a
// key with the suffix, once it has run.
type calls struct {
	lose string

	mu   sync.Mutex
	n    int
	what []string // the first key of each
	lost int
}

// ofAJob tells the keys that only the steps of a job have: its record, its task,
// the session's list, and the memory of a push.
func ofAJob(key string) bool {
	task := strings.Contains(key, "}:t:") && !strings.HasSuffix(key, "}:t:") // not the prefix of all
	return task || strings.Contains(key, "}:r:") || strings.Contains(key, ":jobs:s:") || strings.Contains(key, "}:d:")
}

func (*calls) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *calls) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil {
			return err
		}
		return c.count(cmd)
	}
}

func (c *calls) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if cmd.Err() == nil {
				err = errors.Join(err, c.count(cmd))
			}
		}
		return err
	}
}

func (c *calls) count(cmd redis.Cmder) error {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return nil
	}
	var keys []string
	for _, a := range cmd.Args() {
		if s, ok := a.(string); ok && strings.Contains(s, ":") {
			keys = append(keys, s)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(keys, ofAJob) {
		c.n++
		c.what = append(c.what, keys[0])
	}
	if c.lose == "" || c.lost > 0 || !slices.ContainsFunc(keys, func(k string) bool { return strings.HasSuffix(k, c.lose) }) {
		return nil
	}
	c.lost++
	cmd.SetErr(errLost)
	return errLost
}

// onKit runs a pool and a client on the kit's own connection, which the test
// hooks into.
func onKit(t *testing.T, k *jobstest.Kit, cfg jobs.PoolConfig, h handler) *jobs.Client {
	t.Helper()
	cfg.CheckInterval = checkEvery
	pool, err := jobs.NewPool(k.Redis, k.Publisher, cfg)
	if err != nil {
		t.Fatal(err)
	}
	define().Handle(pool, h)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return pool.Client()
}

// gone waits until Asynq has forgotten the task.
func gone(t *testing.T, k *jobstest.Kit, id string) {
	t.Helper()
	k.Until("Asynq has forgotten the task", func() bool {
		n, err := k.Redis.Exists(t.Context(), "asynq:{lm.default}:t:"+id).Result()
		active, aerr := k.Redis.LLen(t.Context(), "asynq:{lm.default}:active").Result()
		return err == nil && aerr == nil && n == 0 && active == 0
	})
}

// TestJobWithASessionCostsTwoScripts, beside looking for tasks: it is enqueued
// with one and ended with one.
func TestJobWithASessionCostsTwoScripts(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		c := &calls{}
		client := onKit(t, k, jobs.PoolConfig{}, quick)
		enqueueFresh(t, k, client) // the scripts are known from here on
		k.Drain()
		k.Redis.AddHook(c)
		id := enqueueFresh(t, k, client)
		end := wantEnd(t, k, id, jobs.StateCompleted)
		gone(t, k, id)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n != 2 || end.Event.Attempt != 1 || end.Event.Gen != 1 {
			t.Errorf("%d scripts, want 2: %q, event %+v", c.n, c.what, end.Event)
		}
		info, err := client.Get(t.Context(), id)
		if err != nil || info.Attempt != 1 || info.Started.IsZero() || info.Ended.IsZero() || string(info.Result) != `{"size":7}` {
			t.Errorf("record: %+v, %v", info, err)
		}
	})
}

// TestFreshJobs end once, whatever comes between.
func TestFreshJobs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		cfg     jobs.PoolConfig
		lose    string // answer
		handler func(ctx context.Context, k *jobstest.Kit, j *jobs.Job[args]) (result, error)
		end     jobs.State
		attempt int
	}{
		{name: "completes", end: jobs.StateCompleted, attempt: 1},
		{name: "with several queues", cfg: jobs.PoolConfig{Queues: map[string]int{"default": 2, "other": 1}}, end: jobs.StateCompleted, attempt: 1},
		{name: "kept by Asynq", cfg: jobs.PoolConfig{ClientConfig: jobs.ClientConfig{KeepTasks: time.Minute}}, end: jobs.StateCompleted, attempt: 1},
		{name: "on a sharded store", cfg: jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Sharded: true}}, end: jobs.StateCompleted, attempt: 1},
		{name: "loses the answer to its end", lose: ":processed", end: jobs.StateCompleted, attempt: 1},
		{name: "fails for good", handler: func(context.Context, *jobstest.Kit, *jobs.Job[args]) (result, error) {
			return result{}, jobs.Discard(errBoom)
		}, end: jobs.StateFailed, attempt: 1},
		{name: "fails once", handler: func(_ context.Context, _ *jobstest.Kit, j *jobs.Job[args]) (result, error) {
			if j.Attempt == 1 {
				return result{}, errBoom
			}
			return result{7}, nil
		}, end: jobs.StateCompleted, attempt: 2},
		{name: "snoozes", handler: func() func(context.Context, *jobstest.Kit, *jobs.Job[args]) (result, error) {
			var runs atomic.Int32
			return func(context.Context, *jobstest.Kit, *jobs.Job[args]) (result, error) {
				if runs.Add(1) == 1 {
					return result{}, jobs.Snooze(time.Second)
				}
				return result{7}, nil
			}
		}(), end: jobs.StateCompleted, attempt: 1},
		{name: "takes its time", handler: func(context.Context, *jobstest.Kit, *jobs.Job[args]) (result, error) {
			time.Sleep(10 * time.Second)
			return result{7}, nil
		}, end: jobs.StateCompleted, attempt: 1},
		{name: "reports", handler: func(_ context.Context, _ *jobstest.Kit, j *jobs.Job[args]) (result, error) {
			j.Progress(0.5, "half")
			return result{7}, nil
		}, end: jobs.StateCompleted, attempt: 1},
		{name: "is cancelled", handler: func(ctx context.Context, k *jobstest.Kit, j *jobs.Job[args]) (result, error) {
			if err := k.Client.Cancel(ctx, j.ID); err != nil {
				return result{}, err
			}
			<-ctx.Done()
			if context.Cause(ctx) != jobs.ErrCancelled { //nolint:errorlint // the very cause is promised
				return result{}, jobs.Discard(context.Cause(ctx))
			}
			return result{7}, nil
		}, end: jobs.StateCancelled, attempt: 1},
		{name: "is cancelled at its end", handler: func(ctx context.Context, k *jobstest.Kit, j *jobs.Job[args]) (result, error) {
			return result{7}, k.Client.Cancel(context.WithoutCancel(ctx), j.ID)
		}, end: jobs.StateCancelled, attempt: 1},
		{name: "is lost and found", handler: func(ctx context.Context, k *jobstest.Kit, _ *jobs.Job[args]) (result, error) {
			return result{7}, k.Redis.Del(ctx, "asynq:{lm.default}:lease").Err() // another worker might have it
		}, end: jobs.StateCompleted, attempt: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				c := &calls{lose: tt.lose}
				k.Redis.AddHook(c)
				client := onKit(t, k, tt.cfg, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
					if tt.handler == nil {
						return result{7}, nil
					}
					return tt.handler(ctx, k, j)
				})
				id := enqueueFresh(t, k, client)
				end := wantEnd(t, k, id, tt.end)
				if end.Event.Attempt > tt.attempt {
					t.Errorf("attempt %d, want %d", end.Event.Attempt, tt.attempt)
				}
				if info, err := client.Get(t.Context(), id); err != nil || tt.end == jobs.StateCompleted && info.Attempt != tt.attempt {
					t.Errorf("record: %+v, %v; want attempt %d", info, err, tt.attempt)
				}
				time.Sleep(3 * time.Minute) // what it has not done with comes back
				wantEnd(t, k, id, tt.end)
				if tt.end == jobs.StateCompleted && tt.cfg.KeepTasks == 0 {
					gone(t, k, id)
				}
				if tt.lose != "" && c.lost != 1 {
					t.Errorf("%d answers lost, want 1", c.lost)
				}
			})
		})
	}
}

// TestFreshJobsOfADeadWorker run again: the start that left no trace was no attempt.
func TestFreshJobsOfADeadWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(1))
		started := make(chan struct{}, 1)
		dead := start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			started <- struct{}{}
			<-ctx.Done()
			return result{}, ctx.Err()
		})
		h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, notifyEnds(k))
		if err != nil {
			t.Fatal(err)
		}
		<-started
		dead.Crash() // within the first second, so the record knows nothing
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) { return result{j.Attempt}, nil })
		end := wantEnd(t, k, h.ID, jobs.StateCompleted)
		if end.Event.Attempt != 1 || !strings.Contains(string(end.Data), `"size":1`) {
			t.Errorf("end: %s", end.Data)
		}
	})
}

// TestFreshJobIsShared: who joins while it runs gets its end as well.
func TestFreshJobIsShared(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Unique(time.Hour))
		started, release := make(chan struct{}), make(chan struct{})
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			close(started)
			<-release
			return result{7}, nil
		})
		join := func(session string) jobs.Handle {
			h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, jobs.Notify(k.Session(session), jobs.OnDone("Done")))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		first := join("s")
		<-started
		second := join("other")
		if !second.Existing || second.ID != first.ID {
			t.Errorf("the second: %+v", second)
		}
		close(release)
		wantEnd(t, k, first.ID, jobs.StateCompleted)
		if n := len(k.Terminal("other", first.ID)); n != 1 {
			t.Errorf("the second requester got %d ends", n)
		}
	})
}

// TestFreshEndIsOwed when the mailbox is full at that moment: the record says
// so, and the watchdog delivers it.
func TestFreshEndIsOwed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var full atomic.Bool
		full.Store(true)
		k.OnPush(func(m push.Message) error {
			if m.Final && full.Load() {
				return push.ErrMailboxFull
			}
			return nil
		}, nil)
		start(k, define(), quick)
		id := enqueueFresh(t, k, k.Client)
		k.WaitState(id, jobs.StateCompleted)
		gone(t, k, id)
		if n := len(k.Terminal("s", id)); n != 0 {
			t.Errorf("%d ends in a full mailbox", n)
		}
		full.Store(false)
		wantEnd(t, k, id, jobs.StateCompleted)
	})
}

// TestFailedFreshJobIsNotRunByAnOperator: what the archive holds is over.
func TestFailedFreshJobIsNotRunByAnOperator(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var runs atomic.Int32
		start(k, define(), func(context.Context, *jobs.Job[args]) (result, error) {
			runs.Add(1)
			return result{}, jobs.Discard(errBoom)
		})
		id := enqueueFresh(t, k, k.Client)
		wantEnd(t, k, id, jobs.StateFailed)
		archived := func() bool {
			info, err := k.Inspector().GetTaskInfo("lm.default", id)
			return err == nil && info.State == asynq.TaskStateArchived
		}
		k.Until("the task is archived", archived)
		if err := k.Inspector().RunTask("lm.default", id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		k.Until("the task is archived again", archived)
		wantEnd(t, k, id, jobs.StateFailed)
		if runs.Load() != 1 {
			t.Errorf("ran %d times, want 1", runs.Load())
		}
	})
}

// TestEnqueueWhoseAnswerIsLost may be repeated under the same ID.
func TestEnqueueWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		c := &calls{lose: "}:pending"}
		k.Redis.AddHook(c)
		client, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		kind := define().With(client)
		if _, err := kind.Enqueue(t.Context(), args{"a"}, notifyEnds(k), jobs.ID("once")); !errors.Is(err, errLost) {
			t.Fatalf("Enqueue: %v, want the lost answer", err)
		}
		h, err := kind.Enqueue(t.Context(), args{"a"}, notifyEnds(k), jobs.ID("once"))
		if err != nil || !h.Existing {
			t.Fatalf("repeated: %+v, %v", h, err)
		}
		var runs atomic.Int32
		start(k, define(), func(context.Context, *jobs.Job[args]) (result, error) {
			runs.Add(1)
			return result{7}, nil
		})
		wantEnd(t, k, "once", jobs.StateCompleted)
		if runs.Load() != 1 {
			t.Errorf("ran %d times, want 1", runs.Load())
		}
	})
}
