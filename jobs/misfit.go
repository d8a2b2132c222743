package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// While a deploy is under way, workers of two versions work on one queue, and
// what the newer version enqueues the older one may be unable to run: its kind
// is unknown there, its arguments have another form, or the task itself has.
// That says nothing about the job, so it is no attempt: the task goes back for a
// while, for a worker that can run it, and only when none has come for
// PoolConfig.VersionSkew does the job fail. The clock is Redis's, and with the
// task (misfit.lua), so that it is one for all workers, and gone with the task.
//
//	cause                                                   code
//	no handler of that kind is registered                   unknown_kind
//	arguments that the kind's codec or type does not read   bad_args
//	a codec that is not known here                          bad_args
//	options that are not read, a header of another form     bad_format
//
// It is found before the run begins, so the record and the page hear nothing of
// it. Only where PoolConfig.Work may still change the arguments it is found by
// the run, which is then taken back as a snooze is.

const (
	misfitMin = time.Second
	misfitMax = 30 * time.Second
	// misfitShare is the part of its wait so far that a task is put off by: a
	// worker that is one of many soon gets its turn, and a thousand tasks that
	// nobody can run do not keep the workers busy.
	misfitShare = 4
	// maxMisfitKinds bounds how many kinds the log is told of.
	maxMisfitKinds = 100
)

// misfitError is why this worker's version cannot run a job.
type misfitError struct{ *codedError }

func (e *misfitError) Unwrap() error { return e.codedError }

func misfit(code, message string, err error) *misfitError {
	return &misfitError{&codedError{code, message, err}}
}

// errFormat is a task of this application in a form that is not known here.
var errFormat = errors.New("the task has another form than is known here")

// misfits counts and tells what this worker's version cannot run.
type misfits struct {
	p     *Pool
	log   *slog.Logger
	count *prometheus.CounterVec

	mu   sync.Mutex
	told map[string]bool // by kind
}

func (m *misfits) note(ctx context.Context, kind, metricKind string, patience time.Duration, why *misfitError) {
	m.count.WithLabelValues(metricKind, why.code).Inc()
	m.mu.Lock()
	known := m.told[kind] || len(m.told) >= maxMisfitKinds
	if !known {
		if m.told == nil {
			m.told = map[string]bool{}
		}
		m.told[kind] = true
	}
	m.mu.Unlock()
	if !known {
		m.log.WarnContext(ctx, "this version of the worker cannot run jobs of a kind: they wait for one that can",
			"action", shorten(kind, maxNameLen), "code", why.code, "error", storable(why.Error()), "at_most", patience)
	}
}

// fit returns why this worker cannot run the job, or nil.
func (m *misfits) fit(x *execution) *misfitError {
	p := m.p
	h, ok := p.handlers[x.kind]
	switch {
	case x.misfit != nil:
		return x.misfit
	case !ok:
		return misfit(codeUnknown, "this kind of work is not known here", fmt.Errorf("kind %q", x.kind))
	case len(p.cfg.Work) > 0: // what the arguments are is still open
		return nil
	}
	return x.read(h.read)
}

// read reads the arguments before the run. One that panics is the run's to
// report.
func (x *execution) read(read func(*execution) *misfitError) (why *misfitError) {
	defer func() {
		if recover() != nil {
			x.args, why = nil, nil
		}
	}()
	return read(x)
}

// putOff tells for how long a task that cannot be run here is to go back. It
// returns false when its time is over, or when that cannot be told for ever.
func (m *misfits) putOff(ctx context.Context, queue, task, kind string, why *misfitError) (wait time.Duration, back bool) {
	p := m.p
	key := p.client.tasks.Key(p.client.inAsynq(queue), task)
	if key == "" {
		return 0, false // an Asynq whose keys are not known: there is nowhere to keep the clock
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	most := p.cfg.VersionSkew
	n, err := p.client.run(ctx, "misfit", []string{key}, p.prefetch.Token(task), p.waker.name()).Int64()
	switch waited := time.Duration(n) * time.Millisecond; {
	case err != nil:
		p.log.WarnContext(ctx, "wait of a task for another version not stored", "task", task, "action", kind, "error", err)
		return unsettledDelay, true
	case waited >= most:
		return 0, false
	default:
		m.note(ctx, kind, p.metricKind(kind), most, why)
		wait = min(max(waited/misfitShare, misfitMin), misfitMax)
		wait += rand.N(wait/4 + 1) //nolint:gosec // jitter needs no secrecy
		return max(min(wait, most-waited), time.Millisecond), true
	}
}

// noteRun notes with a task that goes back that its job's record knows of a run
// (see note.lua), and whether its handler has come to its end. Then Asynq's count of retries is not needed for that.
func (m *misfits) noteRun(ctx context.Context, x *execution, misfit, survived bool) {
	p := m.p
	if x.adopted != "" {
		return
	}
	key := p.client.tasks.Key(p.client.inAsynq(x.queue), x.task())
	if key == "" || !p.client.known.Dequeue {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	n, err := p.client.run(ctx, "note", []string{key}, where(x.id, x.gen), flag(misfit), flag(survived), p.prefetch.Token(x.task())).Int()
	if err != nil {
		p.log.WarnContext(ctx, "run of job not noted with its task", "id", x.id, "error", err)
	}
	x.noted = err == nil && n == 1
}

// flag is a truth for a script.
func flag(set bool) int {
	if set {
		return 1
	}
	return 0
}
