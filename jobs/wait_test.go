package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// approval asks once, and tells what came of it by its size: 1 for yes, 2 for no, 3
// when nobody answered.
func approval(timeout time.Duration) handler {
	return func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
		yes, err := jobs.Wait[bool](ctx, "approve", timeout)
		switch {
		case errors.Is(err, jobs.ErrTimedOut):
			return result{3}, nil
		case err != nil:
			return result{}, err
		case yes:
			return result{1}, nil
		}
		return result{2}, nil
	}
}

func sizeOf(i jobs.Info) int {
	var n int
	_, _ = fmt.Sscanf(string(i.Result), `{"size":%d}`, &n)
	return n
}

// TestWaitAndAnswer: an answer at any moment of a job's life, and what it is told.
func TestWaitAndAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before time.Duration // of the answer, behind the enqueueing
		plain  bool
		value  any
		size   int
		err    error
	}{
		"at once":             {0, false, true, 1, nil},
		"after a moment":      {5 * time.Millisecond, false, true, 1, nil},
		"after an hour":       {time.Hour, false, true, 1, nil},
		"no":                  {time.Minute, false, false, 2, nil},
		"a plain job":         {time.Minute, true, true, 1, nil},
		"of another type":     {time.Minute, false, "maybe", 0, nil},
		"just before the end": {24*time.Hour - time.Second, false, true, 1, nil},
		"too late":            {24*time.Hour + time.Second, false, true, 3, jobs.ErrEnded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(jobs.MaxRetry(0))
				w := start(k, kind, approval(24*time.Hour))
				opts := []jobs.Option{jobs.Notify(k.Session("s"), jobs.OnDone("Done"), jobs.OnWaiting("Asked"))}
				if tc.plain {
					opts = nil
				}
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...)
				if err != nil {
					t.Fatal(err)
				}
				if tc.before > time.Second {
					i := k.WaitState(h.ID, jobs.StateScheduled)
					if i.WaitsFor != "answer approve" || i.Attempt != 0 {
						t.Errorf("it waits for %q, after %d attempts", i.WaitsFor, i.Attempt)
					}
					if err := w.Stop(); err != nil { // a day of its watchdog takes a while
						t.Fatal(err)
					}
					time.Sleep(tc.before - time.Second)
					start(k, kind, approval(24*time.Hour))
					time.Sleep(time.Second)
				} else {
					time.Sleep(tc.before)
				}
				answer := func(v any) error {
					return jobs.Answer(t.Context(), k.Client, h.ID, "approve", v, jobs.AnsweredBy("alice"))
				}
				asked := time.Now()
				if tc.err != nil {
					k.Wait(h.ID)
				}
				if err := answer(tc.value); !errors.Is(err, tc.err) {
					t.Errorf("answering: %v, want %v", err, tc.err)
				}
				i := k.Wait(h.ID)
				if got := sizeOf(i); got != tc.size || time.Since(asked) > 100*time.Millisecond && tc.err == nil {
					t.Errorf("it came to %d (%s, %v) after %v, want %d", got, i.State, i.Failures, time.Since(asked), tc.size)
				}
				if tc.err != nil {
					return
				}
				if err := answer(tc.value); err != nil {
					t.Errorf("the same answer again: %v", err)
				}
				if err := answer("another"); !errors.Is(err, jobs.ErrAnswered) {
					t.Errorf("another answer: %v", err)
				}
				ws, err := jobs.Waits(t.Context(), k.Client, h.ID)
				if err != nil || len(ws) != 1 || ws[0].Name != "approve" || ws[0].By != "alice" || ws[0].TimedOut || ws[0].At.IsZero() {
					t.Errorf("its waits are %+v, error %v", ws, err)
				}
				k.Drain()
				var got []string
				for _, p := range k.Events("s") {
					got = append(got, p.Action+p.Event.Wait)
				}
				if tc.before > time.Second && !tc.plain && tc.size > 0 && !slices.Equal(got, []string{"Askedapprove", "Done"}) {
					t.Errorf("the page is told %v", got)
				}
			})
		})
	}
}

// TestWaitOutcomesAgree: answers that come around the end of the time. Whoever
// answers is told what the job is told.
func TestWaitOutcomesAgree(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		start(k, kind, approval(10*time.Second))
		var wg sync.WaitGroup
		for n := range 40 {
			id := enqueue(t, k, kind)
			i := k.WaitState(id, jobs.StateScheduled)
			var told [3]error
			for c := range told {
				wg.Go(func() {
					time.Sleep(time.Until(i.NextAt) + time.Duration(n-20)*200*time.Microsecond + time.Duration(c)*time.Microsecond)
					told[c] = jobs.Answer(t.Context(), k.Client, id, "approve", c != 1)
				})
			}
			wg.Wait()
			end := sizeOf(k.Wait(id))
			for c, err := range told {
				mine := map[bool]int{true: 1, false: 2}[c != 1]
				late := errors.Is(err, jobs.ErrTimedOut) || errors.Is(err, jobs.ErrEnded)
				if (err == nil) != (end == mine) || errors.Is(err, jobs.ErrAnswered) != (end != mine && end != 3) || late != (end == 3) {
					t.Errorf("round %d: answer %d is told %v, and the job came to %d", n, c, err, end)
				}
			}
		}
	})
}

// TestWaitsThroughCrashes: jobs that do a step, ask, and do another, on workers that
// die, with answers that come at any time, from processes of which some die when the
// answer is stored. Each goes on with its answer, and does nothing twice that was
// stored.
func TestWaitsThroughCrashes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		const n = 24
		kind := define(jobs.MaxRetry(20), jobs.MaxDeaths(100))
		var mu sync.Mutex
		done := map[string]int{}
		work := func() *jobstest.Worker {
			return start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
				sum := 0
				for i := range 2 {
					v, err := jobs.Do(ctx, "work "+strconv.Itoa(i), func(context.Context) (int, error) {
						time.Sleep(300 * time.Millisecond)
						return i, nil
					})
					if err != nil {
						return result{}, err
					}
					if i == 1 {
						mu.Lock()
						done[j.ID]++
						mu.Unlock()
					}
					answer, err := jobs.Wait[int](ctx, "number", time.Hour)
					if err != nil {
						return result{}, err
					}
					sum += v + answer
				}
				return result{sum}, nil
			})
		}
		w := work()
		var wg sync.WaitGroup
		var ids []string
		for i := range n {
			id := enqueue(t, k, kind)
			ids = append(ids, id)
			for part, name := range []string{"number", "number#2"} {
				wg.Go(func() {
					time.Sleep(time.Duration((i*37+part*211)%400) * 15 * time.Millisecond)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					c := k.Client
					if i%3 == 0 { // dies behind the storage
						client, ok := k.Redis.(*redis.Client)
						if !ok {
							t.Errorf("the kit's client is a %T", k.Redis)
							return
						}
						rdb := redis.NewClient(client.Options())
						defer func() { _ = rdb.Close() }()
						rdb.AddHook(dyingAnswerer{cancel})
						var err error
						if c, err = jobs.NewClient(rdb, k.Publisher, jobs.ClientConfig{}); err != nil {
							t.Error(err)
							return
						}
					}
					if err := jobs.Answer(ctx, c, id, name, 100+i); err != nil {
						t.Errorf("answer to %s: %v", id, err)
					}
				})
			}
		}
		for range 4 {
			time.Sleep(1200 * time.Millisecond)
			w.Crash()
			w = work()
		}
		wg.Wait()
		for i, id := range ids {
			if info := k.Wait(id); sizeOf(info) != 201+2*i {
				t.Errorf("job %d is %s with %s, want %d: %v", i, info.State, info.Result, 201+2*i, info.Failures)
			}
		}
	})
}

// dyingAnswerer is a process that ends when an answer is stored.
type dyingAnswerer struct{ die func() }

func (d dyingAnswerer) DialHook(next redis.DialHook) redis.DialHook { return next }
func (d dyingAnswerer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (d dyingAnswerer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if name := cmd.Name(); err == nil && (name == "evalsha" || name == "eval") {
			d.die()
		}
		return err
	}
}

// TestAnswerNobodyAskedFor: it is no error, and goes with its job.
func TestAnswerNobodyAskedFor(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(1), jobs.Retention(time.Hour))
		start(k, kind, timed(10*time.Millisecond))
		id := enqueue(t, k, kind)
		if err := jobs.Answer(t.Context(), k.Client, id, "approve", true); err != nil {
			t.Error(err)
		}
		k.Wait(id)
		keys := k.Redis.Keys(t.Context(), "*:d:"+id).Val()
		if len(keys) != 1 || k.Redis.TTL(t.Context(), keys[0]).Val() > time.Hour {
			t.Errorf("the answer is kept in %v for %v", keys, k.Redis.TTL(t.Context(), "lm:jobs:d").Val())
		}
	})
}

// TestWaitIsCancelled: a job that waits ends at once when it is cancelled.
func TestWaitIsCancelled(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		start(k, kind, approval(time.Hour))
		id := enqueue(t, k, kind)
		k.WaitState(id, jobs.StateScheduled)
		asked := time.Now()
		if err := k.Client.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if i := k.Wait(id); i.State != jobs.StateCancelled || time.Since(asked) > time.Second {
			t.Errorf("it is %s after %v", i.State, time.Since(asked))
		}
		if err := jobs.Answer(t.Context(), k.Client, id, "approve", true); !errors.Is(err, jobs.ErrEnded) {
			t.Errorf("answering: %v", err)
		}
		if err := k.Client.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		k.WaitState(id, jobs.StateScheduled) // it asks anew
		if err := jobs.Answer(t.Context(), k.Client, id, "approve", false); err != nil || sizeOf(k.Wait(id)) != 2 {
			t.Errorf("answering the next generation: %v", err)
		}
	})
}

// TestWaitersHoldNothing: 50 jobs that wait leave the slots and the limit to others.
func TestWaitersHoldNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0), jobs.Concurrency("k", 1))
		start(k, kind, approval(time.Hour))
		var ids []string
		for range 50 {
			ids = append(ids, enqueue(t, k, kind))
		}
		for _, id := range ids {
			if i := k.WaitState(id, jobs.StateScheduled); i.WaitsFor != "answer approve" {
				k.Until("it asks", func() bool {
					info, err := k.Client.Get(t.Context(), id)
					return err == nil && info.WaitsFor == "answer approve"
				})
			}
		}
		for _, id := range ids {
			if err := jobs.Answer(t.Context(), k.Client, id, "approve", true); err != nil {
				t.Error(err)
			}
		}
		for _, id := range ids {
			if i := k.Wait(id); sizeOf(i) != 1 {
				t.Errorf("it is %s with %s", i.State, i.Result)
			}
		}
	})
}

// TestSleep: a job sleeps as long as it says, once, and nobody can answer that.
func TestSleep(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var woke []time.Duration
		began := time.Now()
		kind := define(jobs.MaxRetry(2))
		start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			for range 3 {
				if err := jobs.Sleep(ctx, "nap", 20*time.Second); err != nil {
					return result{}, err
				}
			}
			woke = append(woke, time.Since(began).Round(2*time.Second))
			if j.Attempt == 1 {
				return result{}, errLater // the next attempt does not sleep again
			}
			return result{j.Attempt}, nil
		})
		id := enqueue(t, k, kind)
		for _, name := range []string{"nap", "#nap", "", "nap#x"} {
			if err := jobs.Answer(t.Context(), k.Client, id, name, true); name != "nap" && !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("answering %q: %v", name, err)
			}
		}
		if i := k.Wait(id); i.State != jobs.StateCompleted || sizeOf(i) != 2 {
			t.Errorf("it is %s with %s: %v", i.State, i.Result, i.Failures)
		}
		if len(woke) != 2 || woke[0] != time.Minute || woke[1] > 80*time.Second {
			t.Errorf("it woke after %v", woke)
		}
	})
}
