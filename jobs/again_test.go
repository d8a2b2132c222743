package jobs_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// Asynq keeps archived tasks for 90 days, longer than most records live: an ID
// that is used again must run again.
func TestIDOfAnArchivedTaskRunsAgain(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]jobs.Option{"ID": jobs.ID("daily"), "Unique": jobs.Unique(time.Minute)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(0), jobs.Retention(5*time.Minute))
				start(k, kind, failOnce())
				id := enqueue(t, k, kind, opt)
				wantEnd(t, k, id, jobs.StateFailed)
				time.Sleep(10 * time.Minute)
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opt, notifyAs(k, "later"))
				if err != nil || h.Existing {
					t.Fatalf("Enqueue = %+v, %v, want a new job", h, err)
				}
				if info := k.Wait(h.ID); info.State != jobs.StateCompleted {
					t.Errorf("the second job is %s (%s), want completed", info.State, info.Code)
				}
			})
		})
	}
}

// deafClient loses the answer to the first task that Asynq is given.
type deafClient struct{ lost atomic.Bool }

func (*deafClient) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *deafClient) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		for _, arg := range cmd.Args() {
			if key, ok := arg.(string); ok && err == nil && strings.HasSuffix(key, "}:pending") && d.lost.CompareAndSwap(false, true) {
				cmd.SetErr(errLost)
				return errLost
			}
		}
		return err
	}
}

func (*deafClient) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Repeating an Enqueue of unknown fate with the same ID is safe, also when the
// first one's task has been seen by a worker meanwhile.
func TestRepeatOfAnEnqueueWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, quick)
		d := new(deafClient)
		k.Redis.AddHook(d)
		client, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		bound := kind.With(client)
		if _, err := bound.Enqueue(t.Context(), args{"a"}, notify(k), jobs.ID("one")); err == nil {
			t.Fatal("the answer was not lost")
		}
		time.Sleep(2 * time.Second)
		if _, err := bound.Enqueue(t.Context(), args{"a"}, notify(k), jobs.ID("one")); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, k, "one", jobs.StateCompleted)
	})
}

// A unique job that is made anew is what was asked for now, not a repeat of the
// last one.
func TestUniqueMadeAnewIsTheNewJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Unique(time.Minute, "tenant"))
		var mu sync.Mutex
		var seen []string
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, j.Args.Name)
			return result{7}, nil
		})
		bound := kind.With(k.Client)
		h, err := bound.Enqueue(t.Context(), args{"monday"}, notify(k))
		if err != nil {
			t.Fatal(err)
		}
		k.Wait(h.ID)
		time.Sleep(2 * time.Minute)
		h, err = bound.Enqueue(t.Context(), args{"tuesday"}, notify(k), jobs.ProcessIn(10*time.Minute))
		if err != nil || h.State != jobs.StateScheduled {
			t.Errorf("Enqueue = %+v, %v, want a scheduled job", h, err)
		}
		asked := time.Now()
		time.Sleep(8 * time.Minute)
		if info := k.Wait(h.ID); info.Ended.Sub(asked) < 10*time.Minute-time.Second {
			t.Errorf("it ran after %v, want ten minutes", info.Ended.Sub(asked))
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(seen, []string{"monday", "tuesday"}) {
			t.Errorf("arguments of the runs: %v", seen)
		}
		queued := 0
		for _, a := range actions(k) {
			if a == "Queued" {
				queued++
			}
		}
		if queued != 2 {
			t.Errorf("%d Queued events, want one for each job", queued)
		}
	})
}

// meanwhile does something before the first call of a script.
type meanwhile struct {
	*deaf
	do func()
}

func (m *meanwhile) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if a := cmd.Args(); len(a) > 1 && a[1] == m.script.Hash() && m.lost.CompareAndSwap(false, true) {
			m.do()
		}
		return next(ctx, cmd)
	}
}

// Two that ask for a unique job at the same moment get one job, and both hear
// of its end.
func TestUniqueMadeAnewByTwoAtATime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Unique(time.Minute))
		w := start(k, kind, quick)
		h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"})
		if err != nil {
			t.Fatal(err)
		}
		k.Wait(h.ID)
		time.Sleep(5 * time.Minute)
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
		m := &meanwhile{deaf: deafTo(t, "entry", "reopen")}
		k.Redis.AddHook(m)
		slow, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		m.do = func() {
			if _, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, notifyAs(k, "fast")); err != nil {
				t.Errorf("the faster one: %v", err)
			}
		}
		if _, err := kind.With(slow).Enqueue(t.Context(), args{"a"}, notifyAs(k, "slow")); err != nil {
			t.Errorf("the slower one: %v, want the job of the faster one", err)
		}
		start(k, kind, quick)
		k.Wait(h.ID)
		for _, s := range []string{"fast", "slow"} {
			if n := len(k.Terminal(s, h.ID)); n != 1 {
				t.Errorf("session %s got %d ends, want 1", s, n)
			}
		}
	})
}

// No event comes after the end, also when the one who enqueued is slow to tell
// that it did.
func TestQueuedIsNotToldAfterTheEnd(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, quick)
		done := make(chan struct{})
		k.OnPush(func(m push.Message) error {
			if m.Action == "Queued" {
				select {
				case <-done:
				case <-time.After(5 * time.Second):
				}
			}
			return nil
		}, func(m push.Message) {
			if m.Final {
				close(done)
			}
		})
		wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
		if got := actions(k); got[len(got)-1] != "Done" {
			t.Errorf("events = %v, want Done to be the last", got)
		}
	})
}

// A session's list lives as long as the jobs on it.
func TestForSessionOfLongLivedJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Retention(30*24*time.Hour), jobs.ProcessIn(10*24*time.Hour))
		enqueue(t, k, kind)
		if ttl := k.Redis.PTTL(t.Context(), "lm:jobs:s:s").Val(); ttl < 40*24*time.Hour {
			t.Errorf("the list lives for %v, want 40 days at least", ttl)
		}
	})
}

// A page that nobody reads does not hold up what follows its job.
func TestFullMailboxDoesNotHoldUpAChain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		var ran atomic.Int32
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) { return result{int(ran.Add(1))}, nil })
		k.OnPush(func(m push.Message) error {
			if m.Final {
				return push.ErrMailboxFull
			}
			return nil
		}, nil)
		id := enqueue(t, k, kind, jobs.Then(kind.Step(args{"b"})))
		k.WaitState(id, jobs.StateCompleted)
		time.Sleep(10 * time.Minute)
		if ran.Load() != 2 {
			t.Errorf("%d jobs ran, want 2", ran.Load())
		}
		k.OnPush(nil, nil)
	})
}
