package jobs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// supervised are workers of one name after the other: when one dies, the next one
// starts, as a supervisor would have it.
type supervised struct {
	k    *jobstest.Kit
	cfg  jobs.PoolConfig
	kind *jobs.Kind[args, result]
	run  func(ctx context.Context, j *jobs.Job[args], die func()) (result, error)
	left chan struct{} // closed: who supervises has left

	mu     sync.Mutex
	deaths int
	now    map[string]int  // what runs in the present process
	beside map[string]bool // who had somebody beside him since the second death
	runs   map[string]int
}

// supervise starts a worker whose handlers may have it die.
func supervise(k *jobstest.Kit, kind *jobs.Kind[args, result], run func(ctx context.Context, j *jobs.Job[args], die func()) (result, error)) *supervised {
	s := &supervised{k: k, cfg: jobs.PoolConfig{CheckInterval: checkEvery}, kind: kind, run: run, left: make(chan struct{}), beside: map[string]bool{}, runs: map[string]int{}}
	s.spawn()
	return s
}

func (s *supervised) spawn() {
	var w *jobstest.Worker
	mine, ready := map[string]int{}, make(chan struct{})
	s.mu.Lock()
	s.now = mine
	s.mu.Unlock()
	var once sync.Once
	die := func() {
		once.Do(func() {
			<-ready
			w.Crash()
			s.mu.Lock()
			s.deaths++
			s.mu.Unlock()
			go s.spawn()
		})
		<-s.left
	}
	w = s.k.Start(s.cfg, func(p *jobs.Pool) {
		s.kind.Handle(p, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			s.mu.Lock()
			s.runs[j.Args.Name]++
			mine[j.Args.Name]++
			if s.deaths >= 2 && len(mine) > 1 {
				s.beside[j.Args.Name] = true
			}
			s.mu.Unlock()
			defer func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(mine, j.Args.Name)
			}()
			return s.run(ctx, j, die)
		})
	})
	close(ready)
}

// TestDeadlyJobBesideInnocentOnes is cases.md A6: a job that ends its process after
// 3 seconds beside three of 8 seconds, with MaxRetry(0) or (1). The innocent complete in their
// first attempt; it alone ends as crashed, in its first attempt too.
func TestDeadlyJobBesideInnocentOnes(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]jobs.Option{
		"MaxRetry(0)":       {jobs.MaxRetry(0)},
		"MaxRetry(1)":       {jobs.MaxRetry(1)},
		"with a limit":      {jobs.MaxRetry(1), jobs.Concurrency("k", 4)},
		"and MaxDeaths (1)": {jobs.MaxRetry(1), jobs.MaxDeaths(1)},
	} {
		for _, session := range []bool{true, false} {
			t.Run(name+" "+map[bool]string{true: "session", false: "plain"}[session], func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					kind := define(opts...)
					s := supervise(k, kind, func(ctx context.Context, j *jobs.Job[args], die func()) (result, error) {
						if j.Args.Name == "deadly" {
							time.Sleep(3 * time.Second)
							die()
						}
						return timed(8*time.Second)(ctx, j)
					})
					defer close(s.left)
					ids := map[string]string{}
					for _, name := range []string{"one", "two", "deadly", "three"} {
						opts := []jobs.Option{}
						if session {
							opts = append(opts, notify(k))
						}
						h, err := kind.With(k.Client).Enqueue(t.Context(), args{name}, opts...)
						if err != nil {
							t.Fatal(err)
						}
						ids[name] = h.ID
					}
					most := 3
					if name == "and MaxDeaths (1)" {
						most = 1
					}
					for name, id := range ids {
						want, code, deaths := jobs.StateCompleted, "", 0
						if name == "deadly" {
							want, code, deaths = jobs.StateFailed, "crashed", most
						}
						info := k.Wait(id)
						if info.State != want || info.Code != code || info.Attempt != 1 || info.Deaths != deaths {
							t.Errorf("%s is %s %q in attempt %d of %d with %d deaths, want %s %q in the first with %d",
								name, info.State, info.Code, info.Attempt, info.Attempts, info.Deaths, want, code, deaths)
						}
					}
					s.mu.Lock()
					defer s.mu.Unlock()
					if len(s.beside) > 0 || s.deaths != 2+most {
						t.Errorf("after two deaths %v had others beside them; %d deaths, want %d", s.beside, s.deaths, 2+most)
					}
				})
			})
		}
	}
}
