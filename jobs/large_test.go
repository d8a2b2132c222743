package jobs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// TestEndTooLargeForAPush: the page learns of the end of a job whose event the
// publisher refuses for its size, once, and without what made it so large.
func TestEndTooLargeForAPush(t *testing.T) {
	t.Parallel()
	const room = 400
	for _, tt := range []struct {
		name     string
		bindings []jobs.Binding
		action   string
	}{
		{"to the action for failures", []jobs.Binding{jobs.OnDone("Done"), jobs.OnFailed("Failed")}, "Failed"},
		{"to the only action", []jobs.Binding{jobs.OnDone("Done")}, "Done"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				k.OnPush(func(m push.Message) error {
					if len(m.Data) > room {
						return fmt.Errorf("%w: %d bytes", push.ErrTooLarge, len(m.Data))
					}
					return nil
				}, nil)
				kind := jobs.Define[args, string]("test.large")
				k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) {
					kind.Handle(p, func(_ context.Context, j *jobs.Job[args]) (string, error) {
						j.Progress(0.5, strings.Repeat("m", 100))
						return strings.Repeat("r", room), nil
					})
				})
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, jobs.Notify(k.Session("s"), tt.bindings...))
				if err != nil {
					t.Fatal(err)
				}
				end := wantEnd(t, k, h.ID, jobs.StateCompleted)
				if end.Action != tt.action || end.Event.Code != "result_too_large" || end.Event.Error == "" {
					t.Errorf("page was sent %s with %+v", end.Action, end.Event)
				}
				info, err := k.Client.Get(t.Context(), h.ID)
				if err != nil {
					t.Fatal(err)
				}
				if r, err := kind.Result(info); err != nil || len(r) != room {
					t.Errorf("the record holds a result of %d bytes, %v; want %d", len(r), err, room)
				}
			})
		})
	}
}

// TestLongUserError: what a handler says to the user is cut, so that it fits.
func TestLongUserError(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			return result{}, jobs.UserError(strings.Repeat("c", 70_000), strings.Repeat("é", 70_000))
		})
		end := wantEnd(t, k, enqueue(t, k, kind), jobs.StateFailed)
		e := end.Event
		if len(e.Code) > 64 || len(e.Error) > 512 || !utf8.ValidString(e.Error) || !strings.HasPrefix(e.Error, "éé") {
			t.Errorf("code of %d bytes, text of %d: %q", len(e.Code), len(e.Error), e.Error)
		}
	})
}
