package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// TestRefusedPut: Redis begins to refuse at each write of an enqueue whose
// record and task are two steps, and of the start of the run. Whoever repeats the
// call until it succeeds has one run, however often he asked.
func TestRefusedPut(t *testing.T) {
	t.Parallel()
	const writes = 4 // from the record to the begin of the run
	later := jobs.ProcessIn(5 * time.Second)
	tests := []struct {
		name  string
		again bool // the job has failed, and is retried
		opts  func(k *jobstest.Kit, id string) []jobs.Option
	}{
		{"told that it is queued", false, func(k *jobstest.Kit, id string) []jobs.Option { return []jobs.Option{notify(k), jobs.ID(id)} }},
		{"told, with an ID at random", false, func(k *jobstest.Kit, _ string) []jobs.Option { return []jobs.Option{notify(k)} }},
		{"delayed", false, func(_ *jobstest.Kit, id string) []jobs.Option { return []jobs.Option{jobs.ID(id), later} }},
		{"delayed, with an ID at random", false, func(k *jobstest.Kit, _ string) []jobs.Option { return []jobs.Option{notify(k), later} }},
		{"unique", false, func(k *jobstest.Kit, id string) []jobs.Option {
			return []jobs.Option{notify(k), jobs.Unique(time.Hour, id)}
		}},
		{"retried", true, func(k *jobstest.Kit, id string) []jobs.Option { return []jobs.Option{notify(k), jobs.ID(id)} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				r := newRuns()
				kind := define()
				start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
					if n := r.note(j.Args.Name); tt.again && n == 1 {
						return result{}, jobs.Discard(errBoom)
					}
					return result{7}, nil
				})
				for n := range writes {
					refusedPut{t, k, r, kind, tt.again, func(id string) []jobs.Option { return tt.opts(k, id) }}.from(n)
				}
			})
		})
	}
}

// refusedPut enqueues jobs while Redis refuses writes, or retries them then.
type refusedPut struct {
	t     *testing.T
	k     *jobstest.Kit
	runs  *runs
	kind  *jobs.Kind[args, result]
	again bool
	opts  func(id string) []jobs.Option
}

func (p refusedPut) from(n int) {
	p.t.Helper()
	name, want := fmt.Sprintf("%s.%d", p.t.Name(), n), 1
	var id string
	if p.again {
		id, want = p.enqueue(name), 2
		p.k.Wait(id)
	}
	time.Sleep(3 * time.Second) // the worker is at rest
	p.k.Refuse(jobstest.ReadOnly, n)
	time.AfterFunc(20*time.Second, func() { p.k.Refuse("", 0) })
	if p.again {
		insistently(p.t, 900*time.Millisecond, func() error { return p.retry(id) })
	} else {
		id = p.enqueue(name)
	}
	time.Sleep(35 * time.Second) // what else may come
	info, err := p.k.Client.Get(p.t.Context(), id)
	if runs := p.runs.ran(name); err != nil || info.State != jobs.StateCompleted || runs != want {
		p.t.Errorf("refused from write %d on: %s (%s), %v, ran %d times, want %d", n, info.State, info.Error, err, runs, want)
	}
}

func (p refusedPut) enqueue(name string) (id string) {
	p.t.Helper()
	insistently(p.t, 900*time.Millisecond, func() error {
		h, err := p.kind.With(p.k.Client).Enqueue(p.t.Context(), args{name}, p.opts(name)...)
		id = h.ID
		return err
	})
	return id
}

// retry retries the job in its first generation.
func (p refusedPut) retry(id string) error {
	info, err := p.k.Client.Get(p.t.Context(), id)
	if err != nil || info.Gen > 1 && info.State != jobs.StateQueued {
		return err // a watchdog was faster
	}
	if err := p.k.Client.Retry(p.t.Context(), id); !errors.Is(err, jobs.ErrOpen) {
		return err
	}
	return nil
}
