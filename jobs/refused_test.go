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
	refusedStride = flag.Int("jobs.refused.stride", 100, "TestRefusedAtEachWrite begins to refuse at one write in so many")
	refusedWays   = flag.Int("jobs.refused.ways", 1, "in how many of the three ways it refuses in each flow")
	refusedSeed   = flag.Int("jobs.refused.seed", 0, "by how many writes the first of them are put off")
)

// scene is one flow's way through a Redis that refuses writes from some write on.
type scene struct {
	*runs
	t      *testing.T
	k      *jobstest.Kit
	worker *jobstest.Worker // which runs what kind and plain make
	kind   *jobs.Kind[args, result]
	name   string // of its own
}

// flow does something through all of its life, and returns what is to be as it was
// once nothing more can come.
type flow struct {
	name string
	play func(s *scene) (check func())
}

func flows() []flow {
	return []flow{
		{"batch", playBatch},
		{"chain", playChain},
		{"children", playChildren},
		{"unique", playUnique},
		{"cron", playCron},
		{"adopted", playAdopted},
		{"retry all", playRetryAll},
		{"cancel all", playCancelAll},
		{"outbox", playOutbox},
		{"worker dies", playDeath},
		{"worker stops", playStop},
		{"cancelled waiting", playCancelWaiting},
		{"steps and a question", playQuestion},
	}
}

// TestRefusedAtEachWrite: Redis begins to refuse at each write of what is more than
// one job, or is nobody's run, for longer than a lease: what was told is what
// happened, each end comes once, and nothing is missing. The flows take turns at the
// ways to refuse.
func TestRefusedAtEachWrite(t *testing.T) {
	t.Parallel()
	for r, refusal := range []struct {
		name string
		jobstest.Refusal
	}{{"full", jobstest.Full}, {"unsaved", jobstest.Unsaved}, {"replica", jobstest.ReadOnly}} {
		for i, f := range flows() {
			if (i+r)%3 >= *refusedWays {
				continue
			}
			t.Run(refusal.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					s := &scene{runs: newRuns(), t: t, k: k, kind: define(jobs.MaxRetry(0))}
					s.worker = s.start()
					stride := max(*refusedStride, 1)
					for n := (*refusedSeed + 8*(r+i) + i) % stride; ; n += stride {
						s.name = fmt.Sprintf("%s.%d", refusal.name, n)
						if !refusedFrom(s, f, refusal.Refusal, n) {
							break
						}
					}
				})
			})
		}
	}
}

// refusedFrom plays the flow while Redis refuses writes from the n-th on, and tells
// whether it refused any.
func refusedFrom(s *scene, f flow, refusal jobstest.Refusal, n int) bool {
	s.t.Helper()
	time.Sleep(3 * time.Second) // what went before is over
	s.k.Refuse(refusal, n)
	over, healed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(healed)
		for s.k.Refused() == 0 {
			select {
			case <-over:
				s.k.Refuse("", 0)
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		time.Sleep(cmp.Or(*roomFor, 20*time.Second))
		s.k.Refuse("", 0)
	}()
	check := f.play(s)
	refused := s.k.Refused() > 0
	close(over)
	<-healed
	time.Sleep(40 * time.Second) // what else may come
	check()
	if s.t.Failed() {
		s.t.Errorf("refused from write %d on", n)
		return false
	}
	return refused
}

// start runs a worker that counts the runs of jobs by the names of their arguments.
func (s *scene) start() *jobstest.Worker {
	s.t.Helper()
	return s.k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, s.register)
}

// end waits for a job, and returns the check that it has ended as it should, once,
// and that its page has heard so.
func (s *scene) end(id string, want jobs.State) (check func()) {
	s.t.Helper()
	return s.endFor("s", id, want)
}

func (s *scene) endFor(session, id string, want jobs.State) (check func()) {
	s.t.Helper()
	s.k.Wait(id)
	return func() {
		s.t.Helper()
		info, err := s.k.Client.Get(s.t.Context(), id)
		if err != nil || info.State != want {
			s.t.Errorf("%s: %s (%s %s), %v, want %s", id, info.State, info.Code, info.Error, err, want)
		}
		if r, err := s.kind.Result(info); want == jobs.StateCompleted && info.Kind == s.kind.Name() && (err != nil || r.Size != 7) {
			s.t.Errorf("%s: result %+v, %v", id, r, err)
		}
		if ends := s.k.Terminal(session, id); len(ends) != 1 || ends[0].Event.State != want {
			s.t.Errorf("%s: the page is told of %d ends: %v", id, len(ends), ends)
		}
	}
}

func (s *scene) try(f func() error) {
	s.t.Helper()
	insistently(s.t, 500*time.Millisecond, f)
}

// once checks that jobs with these names ran as often as they should.
func (s *scene) once(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if n := s.ran(name); n != 1 {
			s.t.Errorf("%s ran %d times, want once", name, n)
		}
	}
}

func all(checks ...func()) func() {
	return func() {
		for _, c := range checks {
			c()
		}
	}
}
