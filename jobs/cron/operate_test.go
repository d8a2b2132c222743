package cron_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/jobs/jobstest"
)

// often runs an entry in two processes, with a job that takes so long.
type often struct {
	kit  *jobstest.Kit
	runs atomic.Int32
}

func runOften(t *testing.T, takes time.Duration, change func(*cron.Entry)) *often {
	t.Helper()
	h := &often{kit: jobstest.New(t)}
	kind := jobs.Define[string, int]("test.tidy")
	h.kit.Start(jobs.PoolConfig{CheckInterval: time.Second}, func(p *jobs.Pool) {
		kind.Handle(p, func(ctx context.Context, _ *jobs.Job[string]) (int, error) {
			h.runs.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(takes):
			}
			return 1, nil
		})
	})
	for range 2 {
		e := cron.Entry{Name: "tidy", Spec: "* * * * *", Step: kind.Step("x", jobs.Timeout(12*time.Hour))}
		change(&e)
		c, err := cron.New(h.kit.Client, nil, e)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return h
}

func (h *often) status(t *testing.T) cron.Status {
	t.Helper()
	list, err := cron.List(t.Context(), h.kit.Client)
	if err != nil || len(list) != 1 {
		t.Fatalf("List = %+v, %v", list, err)
	}
	return list[0]
}

func (h *often) want(t *testing.T, what string, runs int32) {
	t.Helper()
	if got := h.runs.Load(); got != runs {
		t.Errorf("%s: %d runs, want %d", what, got, runs)
	}
}

func TestEntriesAreListedPausedAndRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := runOften(t, time.Second, func(*cron.Entry) {})
		midnight := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		time.Sleep(90 * time.Second)
		h.want(t, "one time has passed", 1)
		s := h.status(t)
		if s.Name != "tidy" || s.Spec != "* * * * *" || s.Kind != "test.tidy" || s.Queue != "default" || s.Location != "UTC" || s.Paused {
			t.Errorf("listed %+v", s)
		}
		if !s.Last.Equal(midnight.Add(time.Minute)) || !s.Next.Equal(midnight.Add(2*time.Minute)) || time.Since(s.Seen) > 2*time.Minute {
			t.Errorf("times of %+v", s)
		}
		if s.LastState != jobs.StateCompleted || !strings.HasPrefix(s.LastJob, "cron:tidy:") {
			t.Errorf("the last job of %+v", s)
		}
		if err := cron.Pause(t.Context(), h.kit.Client, "tidy"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		h.want(t, "paused", 1)
		if s := h.status(t); !s.Paused || !s.Skipped.Equal(midnight.Add(3*time.Minute)) {
			t.Errorf("paused %+v", s)
		}
		job, err := cron.RunNow(t.Context(), h.kit.Client, "tidy")
		if err != nil {
			t.Fatal(err)
		}
		h.kit.Wait(job.ID)
		h.want(t, "run now", 2)
		if err := cron.Resume(t.Context(), h.kit.Client, "tidy"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		h.want(t, "what has passed is not made up for", 2)
		time.Sleep(time.Minute)
		h.want(t, "resumed", 3)
		for what, err := range map[string]error{
			"Pause": cron.Pause(t.Context(), h.kit.Client, "nobody"), "Resume": cron.Resume(t.Context(), h.kit.Client, "nobody"),
		} {
			if !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("%s of what is not there = %v", what, err)
			}
		}
		if _, err := cron.RunNow(t.Context(), h.kit.Client, "nobody"); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("RunNow of what is not there = %v", err)
		}
	})
}

func TestSkipWhileTheLastOneRuns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		skip bool
		runs int32
	}{"skips": {true, 2}, "overlaps": {false, 4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := runOften(t, 110*time.Second, func(e *cron.Entry) { e.SkipWhileRunning = tt.skip })
				time.Sleep(4*time.Minute + 30*time.Second) // due at 1, 2, 3 and 4; the first ends at 2:50
				h.want(t, name, tt.runs)
			})
		})
	}
}

// A time whose job's retention is over is not run again, by whoever starts.
func TestTimeIsDealtWithOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kind := jobs.Define[string, int]("test.tidy")
		change := func(e *cron.Entry) {
			e.CatchUp, e.Step = 50*time.Minute, kind.Step("x", jobs.Retention(51*time.Minute))
		}
		h := runOften(t, time.Second, change)
		time.Sleep(time.Minute + 10*time.Second)
		if n := h.kit.Redis.Del(t.Context(), h.kit.Redis.Keys(t.Context(), "*:r:cron:*").Val()...).Val(); n != 2 {
			t.Fatalf("%d records, want 2", n) // of midnight, which was made up for, and of a minute later
		}
		e := cron.Entry{Name: "tidy", Spec: "* * * * *"}
		change(&e)
		late, err := cron.New(h.kit.Client, nil, e)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		if err := late.Run(ctx); err != nil {
			t.Fatal(err)
		}
		h.want(t, "a process that starts late", 2)
	})
}

func TestEntriesThatCouldRunATimeTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[string, int]("test.tidy")
		for _, tt := range []struct {
			keep, catchUp time.Duration
			refused       bool
		}{
			{time.Second, 10 * time.Second, true},
			{time.Second, 0, true},
			{time.Hour, time.Hour, true},
			{time.Hour + time.Minute, time.Hour, false},
			{time.Minute, 0, false},
		} {
			_, err := cron.New(k.Client, nil, cron.Entry{
				Name: "tidy", Spec: "@hourly", CatchUp: tt.catchUp, Step: kind.Step("x", jobs.Retention(tt.keep)),
			})
			if errors.Is(err, jobs.ErrInvalid) != tt.refused {
				t.Errorf("Retention %v, CatchUp %v: %v", tt.keep, tt.catchUp, err)
			}
			named := func(text string) bool { return strings.Contains(err.Error(), text) }
			if err != nil && slices.ContainsFunc([]string{"tidy", "Retention", "CatchUp", (tt.catchUp + time.Minute).String()}, func(s string) bool { return !named(s) }) {
				t.Errorf("the error does not say what is wrong: %v", err)
			}
		}
	})
}
