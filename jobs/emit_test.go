package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

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
