package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"lastmile/jobs/internal/tasks"
)

// A death is no error: when a worker dies, that says little about the jobs it had.
// Where a run was lost, the job runs again in the same attempt, and who is to blame
// is found out by running those alone that it may be:
//
//	the worker had, when it was lost          with the job's task (sweep.lua)
//	the job among others, or by chance alone  a loss, of which nobody is accused
//	the job alone, as a suspect               a death, which the job is charged with
//
//	a job with                                runs
//	no loss, or one                           as ever, and at once
//	two losses, or a death                    alone: it is a suspect
//	MaxDeaths deaths                          no more: it has failed, as "crashed"
//
// One loss is not enough, for most deaths are nobody's fault, and a hundred jobs of
// a worker that was killed cannot run one by one within seconds. What a suspect
// survives, by an error of its own or a snooze, clears it of its losses; deaths stay
// with it.
//
// Alone is: nothing else of the pool. A pool that has taken a suspect gives what it
// holds back and takes nothing more until the suspect's run is over; the other pools
// go on. Nobody starves:
//
//   - others, because a pool then takes no suspect for as long as it was kept for one,
//     unless it has nothing else to do: suspects have half of its time at most.
//   - others, while a pool's present jobs take long, because a suspect waits for
//     their end for alonePatience at first, and then looks for another pool.
//   - suspects, because each of them has more patience the longer it has waited: half
//     as long again. It outlasts the longest job.
const (
	suspectAfter  = 2
	defaultDeaths = 3
	mostDeaths    = 100
	// muteMost is how many runs in a row may come to nothing that is known, beside
	// MaxDeaths: what cannot be told from a death, such as a run whose end Redis refuses
	// for a reason that does not pass, does not go on for ever.
	muteMost      = 20
	alonePatience = 10 * time.Second
	// aloneLook is how often a pool that is kept looks whether it still is, and
	// aloneStart how soon Asynq must have begun with the suspect.
	aloneLook  = time.Second
	aloneStart = 5 * time.Second
	// suspectMin and suspectMax bound for how long a suspect is put off.
	suspectMin = time.Second
	suspectMax = 30 * time.Second
)

// errBeside is why a suspect does not run here and now.
var errBeside = errors.New("jobs: the pool has others beside a job that is to run alone")

// suspects tells whether a task is to run alone. Without leases of our own nobody
// knows who died.
func (a *alone) suspects(p tasks.Past) bool {
	return a.p.waker != nil && (p.Deaths > 0 || p.Losses >= suspectAfter)
}

// MaxDeaths is how often a worker may die that has nothing but the job: then it has
// failed, with the code "crashed". These are no attempts. A worker that dies while it
// has other jobs too is charged to nobody; whoever had two of those runs alone from
// then on. Defaults to 3; 1 to 100.
func MaxDeaths(n int) Option { return Option{func(s *settings) { s.maxDeaths = n }} }

// deaths is what is stored of it: nothing for the default.
func (s *settings) deaths() int {
	if s.maxDeaths == defaultDeaths {
		return 0
	}
	return s.maxDeaths
}

// mostDeaths returns how many there may be.
func (o jobOptions) mostDeaths() int { return cmp.Or(o.Deaths, defaultDeaths) }

// alone keeps a pool for one suspect at a time.
type alone struct {
	p *Pool

	mu      sync.Mutex
	task    string // that the pool is kept for, "" for none
	since   time.Time
	entered bool // its handler has begun
	marked  mark
	over    chan struct{} // closed when the pool takes others again
	rest    time.Time     // until when it takes no other suspect
	strays  int           // handlers that nobody can wait for: see stray
}

// mayTake tells whether the pool may take tasks. It waits a while until it may.
func (a *alone) mayTake(ctx context.Context) bool {
	a.mu.Lock()
	task, over := a.task, a.over
	stuck := task != "" && !a.entered && time.Since(a.since) > aloneStart
	a.mu.Unlock()
	if task == "" {
		return true
	}
	if stuck { // Asynq could make nothing of it
		a.leave(ctx, task)
		return true
	}
	timer := time.NewTimer(aloneLook)
	defer timer.Stop()
	select {
	case <-over:
		return true
	case <-a.p.draining:
	case <-timer.C:
	}
	return false
}

// choose divides what was taken: what the pool keeps, what it gives back at once,
// and what is to wait. With a suspect it keeps nothing else. left tells whether more
// wait that may be others.
func (a *alone) choose(taken []tasks.Held, left bool) (keep, back, later []tasks.Held) {
	for _, t := range taken {
		if a.suspects(t.Past) {
			later = append(later, t)
		} else {
			keep = append(keep, t)
		}
	}
	if len(later) == 0 {
		return keep, nil, nil
	}
	some, _ := a.p.prefetch.Others("")
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if busy := some || left || len(keep) > 0; a.task != "" || busy && now.Before(a.rest) {
		return keep, nil, later
	}
	a.task, a.since, a.entered, a.over = later[0].ID, now, false, make(chan struct{})
	a.p.client.metrics.alone.Inc()
	return later[:1], keep, later[1:]
}

// enter returns nil once the pool has nothing beside a suspect, and has noted so with
// its task.
func (a *alone) enter(ctx context.Context, x *execution, past tasks.Past) error {
	p, task := a.p, x.task()
	a.mu.Lock()
	kept := a.task == task
	a.entered = a.entered || kept
	a.mu.Unlock()
	if !kept {
		return &retryError{err: errBeside, delay: putOffFor(0)}
	}
	patience := time.NewTimer(max(alonePatience, past.Suspect/2))
	defer patience.Stop()
	for {
		some, changed := p.prefetch.Others(task)
		if !some {
			return a.mark(ctx, x)
		}
		select {
		case <-changed:
		case <-patience.C:
			return &retryError{err: errBeside, delay: putOffFor(past.Suspect / 4)}
		case <-x.taken:
			return &retryError{err: errSuperseded, delay: unsettledDelay}
		case <-p.draining:
			return &retryError{err: ErrShutdown}
		case <-ctx.Done():
			return &retryError{err: context.Cause(ctx), delay: unsettledDelay}
		}
	}
}

// putOffFor is for how long a suspect waits that has waited for d before.
func putOffFor(d time.Duration) time.Duration {
	d = min(max(d, suspectMin), suspectMax)
	return d + rand.N(d) //nolint:gosec // jitter needs no secrecy
}

// mark notes with the task of x that it is alone, if it is.
func (a *alone) mark(ctx context.Context, x *execution) error {
	c := a.p.client
	m := mark{c.tasks.Key(c.inAsynq(x.queue), x.task()), a.p.prefetch.Token(x.task())}
	a.mu.Lock()
	strays := a.strays
	a.mu.Unlock()
	if strays > 0 || m.key == "" || m.token == "" {
		return nil // it runs, and nobody would know what the worker died of
	}
	mine := false
	err := a.p.insist(context.WithoutCancel(ctx), func(ctx context.Context) (err error) {
		mine, err = a.note(ctx, m, true)
		return err
	})
	if err != nil {
		return &retryError{err: err, delay: unsettledDelay}
	}
	if !mine {
		return &retryError{err: errSuperseded, delay: unsettledDelay}
	}
	a.mu.Lock()
	a.marked = m
	strays = a.strays
	a.mu.Unlock()
	if strays > 0 {
		a.unmark(ctx)
	}
	return nil
}

// mark is a hand-out that is noted as alone.
type mark struct{ key, token string }

// note runs the script.
func (a *alone) note(ctx context.Context, m mark, alone bool) (mine bool, err error) {
	n, err := a.p.client.run(ctx, "alone", []string{m.key}, m.token, flag(alone)).Int()
	if err != nil {
		return false, fmt.Errorf("jobs: note that the task of %q is alone: %w", m.key, err)
	}
	return n == 1, nil
}

// unmark takes the note back: from now on the worker may die of something else.
func (a *alone) unmark(ctx context.Context) {
	a.mu.Lock()
	m := a.marked
	a.marked = mark{}
	a.mu.Unlock()
	if m.key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if err := tryFor(ctx, a.p.givingUp, func(ctx context.Context) error {
		_, err := a.note(ctx, m, false)
		return err
	}); err != nil {
		a.p.log.WarnContext(ctx, "job still counts as alone", "task", m.key, "error", err)
	}
}

// leave ends a suspect's time, if the pool is kept for it.
func (a *alone) leave(ctx context.Context, task string) {
	a.mu.Lock()
	kept := a.task == task
	a.mu.Unlock()
	if !kept {
		return
	}
	a.unmark(ctx) // before anything else begins
	a.mu.Lock()
	now := time.Now()
	a.task, a.rest = "", now.Add(now.Sub(a.since))
	close(a.over)
	a.mu.Unlock()
	a.p.client.metrics.alone.Dec()
	a.p.waker.SetAll()
}

// stray notes a handler beside those of the pool's queues, until its end: one of an adopted queue,
// which Asynq begins whenever it likes, or one that ignores the end of its context.
// While there are any, nobody is charged.
func (a *alone) stray(ctx context.Context) (end func()) {
	a.mu.Lock()
	a.strays++
	a.mu.Unlock()
	a.unmark(ctx)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.strays--
	}
}
