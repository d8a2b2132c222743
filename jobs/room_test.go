package jobs_test

import (
	"cmp"
	"flag"
	"fmt"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

var (
	roomFor    = flag.Duration("jobs.room", 0, "for how long Redis refuses writes in TestRefusedAtAnyWrite and TestRefusingRedis, if not for some seconds")
	roomRounds = flag.Int("jobs.room.rounds", 4, "at how many points of the jobs' lives it begins to, for each way to refuse")
)

// TestRefusedAtAnyWrite: Redis begins to refuse writes at points all over the lives
// of jobs, for longer than a lease. Each end is told once, agrees with what
// happened, and has its result.
func TestRefusedAtAnyWrite(t *testing.T) {
	t.Parallel()
	const writes = 240 // somewhat more than all lives need
	tests := []struct {
		name    string
		refusal jobstest.Refusal
		lasts   time.Duration
	}{
		{"full", jobstest.Full, 40 * time.Second}, // longer than any lease
		{"unsaved", jobstest.Unsaved, 40 * time.Second},
		{"replica", jobstest.ReadOnly, 40 * time.Second},
	}
	points := *roomRounds * len(tests) // each at other points
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				l := newLiving()
				w := k.Start(jobs.PoolConfig{Concurrency: 50}, func(p *jobs.Pool) { define().Handle(p, l.handle) })
				for round := range *roomRounds {
					liveThrough(t, k, l, w.Pool.Client(), tt.refusal, cmp.Or(*roomFor, tt.lasts), (round*len(tests)+i)*writes/points)
				}
			})
		})
	}
}

// liveThrough takes a job through each life, with a session and without, while
// Redis refuses writes from one of them on.
func liveThrough(t *testing.T, k *jobstest.Kit, l *living, client *jobs.Client, refusal jobstest.Refusal, lasts time.Duration, after int) {
	t.Helper()
	time.Sleep(3 * time.Second) // the worker's start is over, and what went before
	k.Refuse(refusal, after)
	healed := make(chan struct{})
	time.AfterFunc(lasts, func() { k.Refuse("", 0); close(healed) })
	kind := define().With(client)
	type job struct {
		life
		name, id string
		session  bool
	}
	var all []*job
	for _, life := range lives() {
		for _, session := range []bool{true, false} {
			j := &job{life: life, session: session, name: fmt.Sprintf("%s/%d/%t", life.name, after, session)}
			opts := append([]jobs.Option{}, life.opts...)
			if session {
				opts = append(opts, notify(k))
			}
			if life.after {
				opts = append(opts, jobs.Then(define().Step(args{"next of " + j.name})))
			}
			insistently(t, 100*time.Millisecond, func() error {
				h, err := kind.Enqueue(t.Context(), args{j.name}, opts...)
				j.id = h.ID
				return err
			})
			all = append(all, j)
		}
	}
	for _, j := range all {
		if j.during == nil {
			continue
		}
		k.Until(j.name+" runs", func() bool { return l.ran(j.name) > 0 })
		insistently(t, 100*time.Millisecond, func() error { return j.during(t.Context(), client, j.id) })
	}
	<-healed
	for _, j := range all {
		l.check(t, kind, j.life, j.name, k.Wait(j.id))
		if j.after {
			k.Until("the step behind "+j.name+" runs", func() bool { return l.ran("next of "+j.name) > 0 })
		}
	}
	time.Sleep(70 * time.Second) // what else may come: the recoverer looks each minute
	for _, j := range all {
		if n := l.ran(j.name); n != j.runs {
			t.Errorf("%s: ran %d times in the end, want %d", j.name, n, j.runs)
		}
		if ends := k.Terminal("s", j.id); j.session && (len(ends) != 1 || ends[0].Event.State != j.want) {
			t.Errorf("%s: the page is told of %d ends", j.name, len(ends))
		}
	}
}
