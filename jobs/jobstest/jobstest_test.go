package jobstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func double(_ context.Context, j *jobs.Job[int]) (int, error) {
	if j.Attempt < 3 {
		return 0, errors.New("not yet")
	}
	if j.Args < 0 {
		return 0, jobs.Discard(jobs.UserError("negative", "must not be negative"))
	}
	return 2 * j.Args, nil
}

func TestWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[int, int]("double")
		got, err := jobstest.Work(k, kind, double, 21)
		if err != nil || got != 42 {
			t.Errorf("Work = %d, %v, want 42", got, err)
		}
		if _, err := jobstest.Work(k, kind, double, -1); err == nil {
			t.Error("Work of a failing job returned no error")
		}
	})
}

func TestInline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var in jobstest.Inline
		k := jobstest.New(t, in.Middleware)
		in.Use(k)
		kind := jobs.Define[int, int]("double")
		k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) { kind.Handle(p, double) })
		h, err := kind.With(k.Client).Enqueue(t.Context(), 4)
		if err != nil || h.State != jobs.StateCompleted {
			t.Errorf("Enqueue = %+v, %v, want a completed job", h, err)
		}
	})
}

func TestRequireEnqueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[int, int]("double")
		for n := range 3 {
			if _, err := kind.With(k.Client).Enqueue(t.Context(), n, jobs.Notify(k.Session("s")), jobs.ProcessIn(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		info := jobstest.RequireEnqueued(k, kind, "s", func(n int) bool { return n == 1 })
		if n, err := kind.Args(info); n != 1 || err != nil || info.State != jobs.StateScheduled {
			t.Errorf("found %+v", info)
		}
		for range 20 { // in whatever order Redis has them
			time.Sleep(time.Second)
			h, err := kind.With(k.Client).Enqueue(t.Context(), 7, jobs.Notify(k.Session("s")), jobs.ProcessIn(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			for _, session := range []string{"", "s"} {
				if info := jobstest.RequireEnqueued(k, kind, session, nil); info.ID != h.ID {
					t.Errorf("session %q: found %s, want the newest", session, info.ID)
				}
			}
		}
	})
}
