package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// TestEmitOnceInOrder: what a handler pushes comes once, in order with its end,
// however often it runs, to each session that asked.
func TestEmitOnceInOrder(t *testing.T) {
	t.Parallel()
	for _, unaware := range []bool{false, true} {
		t.Run(fmt.Sprint("record unaware at first ", unaware), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				var stepped int
				kind := define(jobs.MaxRetry(5))
				start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
					if s := j.SessionID(); s != "s" {
						t.Errorf("it is of session %q", s)
					}
					for i := range 3 {
						if err := jobs.Emit(ctx, "Found", map[string]int{"n": i}); err != nil {
							return result{}, err
						}
						if j.Attempt == i+1 {
							return result{}, errLater
						}
					}
					_, err := jobs.Do(ctx, "charge", func(ctx context.Context) (int, error) {
						stepped++
						if err := jobs.Emit(ctx, "Charged", nil); err != nil {
							return 0, err
						}
						if stepped < 3 {
							return 0, errLater
						}
						return 1, jobs.Emit(ctx, "Charged", nil)
					})
					return result{}, err
				})
				opts := []jobs.Option{jobs.Notify(k.Session("s"), jobs.OnDone("Done"))}
				if !unaware {
					opts = append(opts, jobs.Notify(k.Session("s"), jobs.OnDone("Done"), jobs.On("Started", jobs.StateRunning)))
				}
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...)
				if err != nil {
					t.Fatal(err)
				}
				k.Wait(h.ID)
				k.Drain()
				var got []string
				for _, p := range k.Events("s") {
					if p.Action != "Started" {
						got = append(got, p.Action+string(p.Data))
					}
				}
				want := []string{`Found{"n":0}`, `Found{"n":1}`, `Found{"n":2}`, "Charged", "Charged"}
				if len(got) != 6 || !slices.Equal(got[:5], want) || !strings.HasPrefix(got[5], "Done") {
					t.Errorf("the session got %v", got)
				}
			})
		})
	}
}

// TestEmitThatIsRefused: a handler learns that a push was not stored, and where it
// cannot push.
func TestEmitThatIsRefused(t *testing.T) {
	t.Parallel()
	if err := jobs.Emit(t.Context(), "Found", nil); !errors.Is(err, jobs.ErrInvalid) {
		t.Errorf("outside of a handler: %v", err)
	}
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		full := true
		k.OnPush(func(m push.Message) error {
			if m.Action == "Found" && full {
				return push.ErrMailboxFull
			}
			return nil
		}, nil)
		kind := define(jobs.MaxRetry(2))
		var errs []error
		start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			full = j.Attempt == 1
			errs = append(errs, jobs.Emit(ctx, "Found", func() {}), jobs.Emit(ctx, "not an action", nil))
			return result{}, jobs.Emit(ctx, "Found", nil)
		})
		if i := k.Wait(enqueue(t, k, kind)); i.State != jobs.StateCompleted || i.Attempt != 2 {
			t.Errorf("it is %s after %d attempts: %v", i.State, i.Attempt, i.Failures)
		}
		if !errors.Is(errs[0], jobs.ErrInvalid) || !errors.Is(errs[1], push.ErrInvalid) {
			t.Errorf("got %v", errs)
		}
		n := 0
		for _, p := range k.Events("s") {
			if p.Action == "Found" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d came", n)
		}
	})
}

// TestEmitTriedAgainInOneRun: a push that was refused, and a step that failed, are
// tried again by the handler itself. In a later run all of it is known.
func TestEmitTriedAgainInOneRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		refuse := 2
		k.OnPush(func(m push.Message) error {
			if m.Action == "Found" && refuse > 0 {
				refuse--
				return push.ErrMailboxFull
			}
			return nil
		}, nil)
		kind := define(jobs.MaxRetry(3))
		start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			for jobs.Emit(ctx, "Found", nil) != nil {
				time.Sleep(10 * time.Millisecond)
			}
			for try := 0; ; try++ {
				_, err := jobs.Do(ctx, "charge", func(ctx context.Context) (int, error) {
					if err := jobs.Emit(ctx, "Charging", nil); err != nil || try == 0 || j.Attempt == 1 {
						return 0, cmpErr(err, errLater)
					}
					return 1, nil
				})
				if err == nil {
					break
				}
				if try == 1 {
					return result{}, err
				}
			}
			if j.Attempt == 2 {
				return result{}, errLater
			}
			return result{}, jobs.Emit(ctx, "Found", nil) // the second one
		})
		k.Wait(enqueue(t, k, kind))
		k.Drain()
		n := map[string]int{}
		for _, p := range k.Events("s") {
			n[p.Action]++
		}
		if n["Found"] != 2 || n["Charging"] != 1 {
			t.Errorf("pushed %v, want Found twice and Charging once", n)
		}
	})
}

// TestStepsOfAdoptedTasks: a bound task of Asynq's has steps and pushes; it cannot wait,
// since Asynq would count that as a failure. One that is not bound has no job.
func TestStepsOfAdoptedTasks(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var l ledger
		var waits, unbound error
		runs := 0
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) {
			p.Adopt("mail", asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
				if string(task.Payload()) == "unbound" {
					unbound = l.do(ctx, "never")
					return nil
				}
				runs++
				if err := l.all(ctx, "write", "send"); err != nil {
					return err
				}
				if err := jobs.Emit(ctx, "Sent", nil); err != nil {
					return err
				}
				if runs == 1 {
					return errLater
				}
				_, waits = jobs.Wait[bool](ctx, "approve", time.Hour)
				return nil
			}))
		})
		client := asynq.NewClientFromRedisClient(k.Redis)
		for _, task := range []*asynq.Task{
			jobs.Bind(asynq.NewTask("mail", []byte("bound"), asynq.Queue("mail"), asynq.TaskID("bound")), k.Session("s"), jobs.OnDone("Done")),
			asynq.NewTask("mail", []byte("unbound"), asynq.Queue("mail")),
		} {
			if _, err := client.Enqueue(task); err != nil {
				t.Fatal(err)
			}
		}
		if i := k.Wait("bound"); i.State != jobs.StateCompleted || runs != 2 {
			t.Errorf("it is %s after %d runs", i.State, runs)
		}
		k.Until("the other one ran", func() bool { return unbound != nil })
		if ran := l.took(); ran != "write send" {
			t.Errorf("it did %q", ran)
		}
		sent := 0
		for _, p := range k.Events("s") {
			if p.Action == "Sent" {
				sent++
			}
		}
		if sent != 1 || !errors.Is(waits, jobs.ErrInvalid) || !errors.Is(unbound, jobs.ErrInvalid) {
			t.Errorf("pushed %d times; a wait: %v; not bound: %v", sent, waits, unbound)
		}
	})
}
