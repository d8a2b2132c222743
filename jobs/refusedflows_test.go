package jobs_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/jobs/jobstest"
	"lastmile/jobs/outbox"
)

// runs counts the runs of jobs by the names of their arguments, which say what they
// do: what is after the last "/".
type runs struct {
	last *jobs.Kind[string, map[jobs.State]int] // counts the members of a batch

	mu sync.Mutex
	n  map[string]int
}

func newRuns() *runs {
	return &runs{n: map[string]int{}, last: jobs.Define[string, map[jobs.State]int]("test.last", jobs.MaxRetry(0))}
}

func (r *runs) ran(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n[name]
}

func (r *runs) note(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[name]++
	return r.n[name]
}

func (s *scene) register(p *jobs.Pool) {
	s.kind.Handle(p, func(ctx context.Context, j *jobs.Job[args]) (result, error) { return s.work(ctx, p.Client(), j) })
	s.last.Handle(p, func(ctx context.Context, j *jobs.Job[string]) (map[jobs.State]int, error) {
		s.note(j.Args)
		infos, err := p.Client().BatchOf(ctx, j.Args)
		got := map[jobs.State]int{}
		for _, i := range infos {
			got[i.State]++
		}
		return got, err
	})
	p.Adopt("legacy", asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		s.note(string(task.Payload()))
		jobs.FromContext(ctx).Progress(0.5, "")
		return nil
	}))
}

func (s *scene) work(ctx context.Context, c *jobs.Client, j *jobs.Job[args]) (result, error) {
	n, what := s.note(j.Args.Name), j.Args.Name[strings.LastIndexByte(j.Args.Name, '/')+1:]
	switch {
	case what == "bad", what == "once bad" && j.Gen == 1:
		return result{}, errBoom
	case what == "parent":
		for _, child := range []string{"a", "b"} {
			if _, err := s.kind.With(c).Enqueue(ctx, args{s.name + "/" + child}, jobs.ID(s.name+"/"+child), notify(s.k)); err != nil {
				return result{}, err
			}
		}
		if _, err := s.kind.With(c).Enqueue(ctx, args{s.name + "/plain"}); err != nil {
			return result{}, err
		}
	case what == "asks":
		return s.ask(ctx, j.Args.Name)
	case what == "long" || what == "killed" && n == 1:
		return linger(func(context.Context, *jobs.Job[args], int) (result, error) { return result{7}, nil })(ctx, j, n)
	case what == "endless" || what == "given back" && n == 1:
		<-ctx.Done()
		return result{}, context.Cause(ctx)
	}
	return result{7}, nil
}

func (s *scene) step(what string) jobs.Step {
	return s.kind.Step(args{s.name + "/" + what}, notify(s.k))
}

func playBatch(s *scene) func() {
	id := "batch." + s.name
	steps := []jobs.Step{s.step("a"), s.step("bad"), s.step("long"), s.kind.Step(args{s.name + "/quiet"})}
	s.try(func() error { return s.k.Client.Batch(s.t.Context(), id, steps, s.last.Step(id, notify(s.k))) })
	return all(s.end(id+":finally", jobs.StateCompleted), s.end(id+":0", jobs.StateCompleted), s.end(id+":1", jobs.StateFailed),
		s.end(id+":2", jobs.StateCompleted), func() {
			s.once(id, s.name+"/a", s.name+"/bad", s.name+"/long", s.name+"/quiet")
			info, err := s.k.Client.Get(s.t.Context(), id+":finally")
			if err != nil {
				s.t.Error(err)
			}
			got, err := s.last.Result(info)
			if want := map[jobs.State]int{jobs.StateCompleted: 3, jobs.StateFailed: 1}; err != nil || !maps.Equal(got, want) {
				s.t.Errorf("finally saw %v (%v), want %v", got, err, want)
			}
		})
}

func playChain(s *scene) func() {
	first := s.name + "/first"
	s.try(func() error {
		_, err := s.kind.With(s.k.Client).Enqueue(s.t.Context(), args{first}, jobs.ID(first), notify(s.k),
			jobs.Then(s.step("second"), s.kind.Step(args{s.name + "/quiet"}), s.step("bad"), s.step("never")))
		return err
	})
	checks := all(s.end(first, jobs.StateCompleted), s.end(first+"+1", jobs.StateCompleted), s.end(first+"+3", jobs.StateFailed))
	return all(checks, func() {
		s.once(first, s.name+"/second", s.name+"/quiet", s.name+"/bad")
		if s.ran(s.name+"/never") > 0 {
			s.t.Error("the step behind one that failed ran")
		}
	})
}

func playChildren(s *scene) func() {
	id := s.name + "/parent"
	s.try(func() error {
		_, err := s.kind.With(s.k.Client).Enqueue(s.t.Context(), args{id}, jobs.ID(id), notify(s.k),
			jobs.MaxRetry(500), jobs.RetryBackoff(time.Second, time.Second))
		return err
	})
	checks := all(s.end(id, jobs.StateCompleted), s.end(s.name+"/a", jobs.StateCompleted), s.end(s.name+"/b", jobs.StateCompleted))
	s.k.Until("the third child runs", func() bool { return s.ran(s.name+"/plain") > 0 })
	return all(checks, func() { s.once(s.name+"/a", s.name+"/b", s.name+"/plain") })
}

func playUnique(s *scene) func() {
	name := s.name + "/long"
	var ids [2]string
	for i, session := range []string{"s", "second"} {
		s.try(func() error {
			h, err := s.kind.With(s.k.Client).Enqueue(s.t.Context(), args{name}, jobs.Unique(time.Hour, name), notifyAs(s.k, session))
			ids[i] = h.ID
			return err
		})
	}
	if ids[0] != ids[1] {
		s.t.Logf("the first had ended: %v", ids)
	}
	return all(s.end(ids[0], jobs.StateCompleted), func() {
		s.once(name)
		if n := len(s.k.Terminal("second", ids[0])); n != 1 {
			s.t.Errorf("the second page is told of %d ends", n)
		}
	})
}

func playCron(s *scene) func() {
	entry := s.name
	name := s.name + "/a"
	since := jobs.Now(s.t.Context(), s.k.Client)
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	for range 2 {
		c, err := cron.New(s.k.Client, nil, cron.Entry{
			Name: entry, Spec: "* * * * *", CatchUp: 5 * time.Minute, SkipWhileRunning: true,
			Step: s.kind.Step(args{name}, jobs.Notify(s.k.Session("s"), jobs.OnDone("Done"))),
		})
		if err != nil {
			s.t.Fatal(err)
		}
		go func() { _ = c.Run(ctx); done <- struct{}{} }()
	}
	s.k.Until("a time is dealt with", func() bool { return s.ran(name) > 0 })
	k := s.k
	k.Drain()
	return func() {
		stop()
		<-done
		<-done
		list, err := cron.List(s.t.Context(), k.Client)
		if err != nil {
			s.t.Error(err)
		}
		for _, st := range list {
			if st.Name != entry {
				continue
			}
			times := int(st.Last.Sub(since.Truncate(time.Minute))/time.Minute) + 1
			if runs := s.ran(name); runs != times || !st.Skipped.IsZero() || st.LastState != jobs.StateCompleted {
				s.t.Errorf("ran %d times, want %d: %+v", runs, times, st)
			}
			return
		}
		s.t.Errorf("entry is not listed: %v", list)
	}
}

func playAdopted(s *scene) func() {
	plain, told := s.name+"/plain", s.name+"/bound"
	client := asynq.NewClientFromRedisClient(s.k.Redis)
	put := func(name string, task *asynq.Task) {
		s.try(func() error {
			_, err := client.EnqueueContext(s.t.Context(), task, asynq.Queue("legacy"), asynq.TaskID(name), asynq.MaxRetry(1))
			if errors.Is(err, asynq.ErrTaskIDConflict) {
				return nil
			}
			return err
		})
	}
	put(plain, asynq.NewTask("mail:x", []byte(plain)))
	put(told, jobs.Bind(asynq.NewTask("mail:x", []byte(told)), s.k.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed")))
	s.k.Until("both run", func() bool { return s.ran(plain) > 0 && s.ran(told) > 0 })
	return all(s.end(told, jobs.StateCompleted), func() {
		for _, name := range []string{plain, told} {
			if info, err := s.k.Inspector().GetTaskInfo("legacy", name); !errors.Is(err, asynq.ErrTaskNotFound) {
				s.t.Errorf("%s is still there: %+v, %v", name, info, err)
			}
		}
		s.once(told)
	})
}

// ended makes jobs that have ended, before anything is refused.
func (s *scene) make(opts ...jobs.Option) (ids []string) {
	for _, what := range []string{"x/once bad", "y/once bad", "z/once bad"} {
		name := s.name + "/" + what
		s.try(func() error {
			_, err := s.kind.With(s.k.Client).Enqueue(s.t.Context(), args{name}, append(opts, jobs.ID(name), notifyAs(s.k, s.name))...)
			return err
		})
		ids = append(ids, name)
	}
	return ids
}

func playRetryAll(s *scene) func() {
	ids := s.make()
	for _, id := range ids {
		s.k.Wait(id)
	}
	s.bulk(jobs.RetryAll)
	for _, id := range ids {
		s.k.WaitState(id, jobs.StateCompleted)
	}
	return func() {
		for _, id := range ids {
			if n := s.ran(id); n != 2 {
				s.t.Errorf("%s ran %d times, want once in each generation", id, n)
			}
			if ends := s.k.Terminal(s.name, id); len(ends) != 2 || ends[1].Event.State != jobs.StateCompleted {
				for _, e := range ends {
					s.t.Logf("%s: %s, gen %d, %s", id, e.Action, e.Event.Gen, e.Event.State)
				}
				s.t.Errorf("%s: the page is told of %d ends", id, len(ends))
			}
		}
	}
}

func playCancelAll(s *scene) func() {
	ids := s.make(jobs.ProcessIn(time.Hour))
	s.bulk(jobs.CancelAll)
	var checks []func()
	for _, id := range ids {
		checks = append(checks, s.endFor(s.name, id, jobs.StateCancelled))
	}
	return all(checks...)
}

// bulk begins one, and again if it is refused, and waits for its end.
func (s *scene) bulk(do func(context.Context, *jobs.Client, jobs.Query) (jobs.Bulk, error)) {
	var b jobs.Bulk
	s.try(func() (err error) {
		b, err = do(s.t.Context(), s.k.Client, jobs.Query{Session: s.name})
		return err
	})
	s.k.Until("the bulk is over", func() bool {
		var err error
		b, err = jobs.BulkOf(s.t.Context(), s.k.Client, b.ID)
		return err == nil && b.Over
	})
	if b.Failed > 0 {
		s.t.Errorf("%+v", b)
	}
}

// rows is an outbox in memory.
type rows struct {
	mu   sync.Mutex
	left []outbox.Job
}

func (r *rows) Pending(_ context.Context, limit int) ([]outbox.Job, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]outbox.Job{}, r.left[:min(limit, len(r.left))]...), nil
}

func (r *rows) Delete(_ context.Context, ids []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = r.left[len(ids):]
	return nil
}

func playOutbox(s *scene) func() {
	table := &rows{}
	for _, what := range []string{"a", "b", "c"} {
		table.left = append(table.left, outbox.Job{ID: s.name + "/" + what, Step: s.step(what)})
	}
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = outbox.Relay(ctx, s.k.Client, table, time.Second, nil) }()
	s.k.Until("all are relayed", func() bool { table.mu.Lock(); defer table.mu.Unlock(); return len(table.left) == 0 })
	stop()
	<-done
	a, b, c := s.name+"/a", s.name+"/b", s.name+"/c"
	return all(s.end(a, jobs.StateCompleted), s.end(b, jobs.StateCompleted), s.end(c, jobs.StateCompleted), func() { s.once(a, b, c) })
}

// playDeath has the worker of a job die, perhaps while Redis refuses.
func playDeath(s *scene) func() {
	id, name := s.name+"/killed", s.name+"/killed"
	queue := jobs.Queue("q." + s.name)
	elsewhere := define(jobs.MaxRetry(0), queue)
	first := s.elsewhere(elsewhere, "q."+s.name)
	s.try(func() error {
		_, err := elsewhere.With(s.k.Client).Enqueue(s.t.Context(), args{name}, jobs.ID(id), notify(s.k))
		return err
	})
	s.k.Until("it runs", func() bool { return s.ran(name) > 0 })
	first.Crash()
	next := s.elsewhere(elsewhere, "q."+s.name)
	check := s.end(id, jobs.StateCompleted)
	return all(check, func() {
		if n := s.ran(name); n > 2 {
			s.t.Errorf("ran %d times", n)
		}
		stop(s.t, next)
	})
}

// playStop has the worker of a job stop, perhaps while Redis refuses.
func playStop(s *scene) func() {
	id, name := s.name+"/given back", s.name+"/given back"
	queue := jobs.Queue("q." + s.name)
	elsewhere := define(jobs.MaxRetry(0), queue)
	first := s.elsewhere(elsewhere, "q."+s.name)
	s.try(func() error {
		_, err := elsewhere.With(s.k.Client).Enqueue(s.t.Context(), args{name}, jobs.ID(id), notify(s.k))
		return err
	})
	s.k.Until("it runs", func() bool { return s.ran(name) > 0 })
	_ = first.Stop() // it may say that Redis refuses
	next := s.elsewhere(elsewhere, "q."+s.name)
	check := s.end(id, jobs.StateCompleted)
	return all(check, func() {
		if n := s.ran(name); n > 2 {
			s.t.Errorf("ran %d times", n)
		}
		stop(s.t, next)
	})
}

func (s *scene) elsewhere(kind *jobs.Kind[args, result], queue string) *jobstest.Worker {
	return s.k.Start(jobs.PoolConfig{CheckInterval: checkEvery, DrainTimeout: time.Second, Queues: map[string]int{queue: 1}}, func(p *jobs.Pool) {
		kind.Handle(p, func(ctx context.Context, j *jobs.Job[args]) (result, error) { return s.work(ctx, p.Client(), j) })
	})
}

// playCancelWaiting cancels a job that waits, and one that runs.
func playCancelWaiting(s *scene) func() {
	waits, runs := s.name+"/a", s.name+"/endless"
	for id, opts := range map[string][]jobs.Option{waits: {jobs.ProcessIn(time.Hour)}, runs: nil} {
		s.try(func() error {
			_, err := s.kind.With(s.k.Client).Enqueue(s.t.Context(), args{id}, append(opts, jobs.ID(id), notify(s.k))...)
			return err
		})
	}
	s.k.Until("it runs", func() bool { return s.ran(runs) > 0 })
	for _, id := range []string{waits, runs} {
		s.try(func() error { return s.k.Client.Cancel(s.t.Context(), id) })
	}
	return all(s.end(waits, jobs.StateCancelled), s.end(runs, jobs.StateCancelled), func() {
		s.once(runs)
		if s.ran(waits) > 0 {
			s.t.Error("it ran")
		}
	})
}
