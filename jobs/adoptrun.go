package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"

	"lastmile/jobs/internal/tasks"
)

const (
	// adoptedTimeout leaves the end of an adopted task's time to Asynq.
	adoptedTimeout = 10 * 365 * 24 * time.Hour
	codeRevoked    = "revoked"
	// settledFor is how long an end that Asynq decides on is waited for.
	settledFor = 5 * time.Second
)

// run runs a task of an adopted queue: as it is, or as a job.
func (a *adoption) run(ctx context.Context, t *asynq.Task) error {
	p := a.p
	defer p.alone.stray(ctx)()
	to := boundTo(t.Headers())
	if to == "" {
		return a.handler.ProcessTask(ctx, t)
	}
	endCtx := context.WithoutCancel(ctx)
	x, b, err := a.open(endCtx, t, to)
	if err != nil {
		p.log.WarnContext(ctx, "record of an adopted task not stored: its session is not told of this run", "id", x.id, "action", x.kind, "error", err)
		return a.handler.ProcessTask(ctx, t)
	}
	p.enter(x)
	err = a.perform(ctx, endCtx, t, x, b)
	p.leave(x)
	if errors.Is(err, ErrShutdown) {
		// Asynq itself gives the task back, uncharged, when its patience is over. Whatever
		// it is answered before would be a retry, or the end of a last attempt.
		<-p.adoptedDown
	}
	if pe, ok := errors.AsType[*panicError](err); ok {
		panic(pe.value) // for Asynq to make of it what it does
	}
	return err
}

// execution is a run of a bound task.
func (a *adoption) execution(ctx context.Context, t *asynq.Task, to string) *execution {
	task, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	most, _ := asynq.GetMaxRetry(ctx)
	x := &execution{
		pool: a.p, id: a.id(ctx, queue, task), adopted: task, label: a.metricKindOf(t), kind: t.Type(), queue: queue,
		payload: t.Payload(), headers: t.Headers(), to: to, attempt: retried + 1, limit: most + 1,
		progressed: make(chan struct{}, 1), interrupted: make(chan struct{}, 1), joins: make(chan chan<- error),
	}
	x.opts = jobOptions{Timeout: adoptedTimeout, Retention: defaults().retention, Limit: x.limit}
	x.handler = func(ctx context.Context, _ *execution) ([]byte, error) { return nil, a.handler.ProcessTask(ctx, t) }
	return x
}

// id names the job of a task. An ID that Asynq has drawn is nobody
// else's; one that its producer chose may be another job's too.
func (a *adoption) id(ctx context.Context, queue, task string) string {
	qualified := task + "@" + queue
	if !tasks.ValidJob(qualified) || len(qualified) > maxIDLen || !utf8.ValidString(qualified) {
		return "t" + digest(queue, task)
	}
	if drawn(task) {
		return task
	}
	if n, err := a.p.client.rdb.Exists(ctx, a.p.client.job(qualified)[0]).Result(); err == nil && n == 1 {
		return qualified
	}
	return task
}

// drawn tells whether an ID is of the form of those that Asynq draws at random.
func drawn(id string) bool {
	return len(id) == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' && strings.Trim(id, "0123456789abcdef-") == ""
}

// open opens the run of a bound task in the record.
func (a *adoption) open(ctx context.Context, t *asynq.Task, to string) (x *execution, b begun, err error) {
	x = a.execution(ctx, t, to)
	b, err = a.openRecord(ctx, x)
	if err == nil && b.beginning == beginGone {
		x.id = x.adopted + "@" + x.queue
		b, err = a.openRecord(ctx, x)
	}
	if err == nil && b.beginning == beginGone {
		err = fmt.Errorf("jobs: job %q is another", x.id)
	}
	return x, b, err
}

func (a *adoption) openRecord(ctx context.Context, x *execution) (b begun, err error) {
	p := a.p
	opt, err := p.client.options.encode(x.kind, x.opts)
	if err != nil {
		return b, err
	}
	token := newToken()
	err = p.insist(ctx, func(ctx context.Context) error {
		r, err := p.client.reply(ctx, "adopt", x.id, x.id, x.queue, x.adopted, x.attempt, x.limit, x.to, token, msOf(stallAfter),
			"kind", x.kind, "pay", x.payload, "opt", opt)
		if err != nil {
			return err
		}
		b.beginning, err = verdict("adopt.lua", r.str(0), map[string]beginning{
			"run": beginRun, "cancel": beginCancel, "over": beginOver, "undelivered": beginUndelivered, "taken": beginGone,
		})
		x.gen, x.run, b.state = int(r.num(1)), r.num(2), State(r.str(3))
		return err
	})
	return b, err
}

// perform runs the handler of a bound task, and settles what came of it.
func (a *adoption) perform(ctx, endCtx context.Context, t *asynq.Task, x *execution, b begun) error {
	p := a.p
	x.waiting, x.dests = 1, p.client.notify.some(endCtx, x.id, x.to, 1)
	switch b.beginning {
	case beginOver, beginUndelivered:
		return p.wasOver(endCtx, x, b.state, b.beginning == beginUndelivered)
	case beginCancel:
		return p.conclude(endCtx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	default:
	}
	p.client.notify.tell(endCtx, eventStarted, x.event(StateRunning), x.dests, fmt.Sprintf("job:%s:%d:started:%d", x.id, x.gen, x.run))
	begun := time.Now()
	o := x.execute(context.WithValue(ctx, executionKey{}, x))
	p.client.metrics.seconds.WithLabelValues(x.metricKind()).Observe(time.Since(begun).Seconds())
	for {
		err := a.judge(endCtx, t, x, o)
		if _, back := errors.AsType[*retryError](err); !back || o.cause != nil || x.attempt < x.limit {
			return err
		}
		// Asynq would archive what may have completed: the end has to be stored first.
		timer := time.NewTimer(unsettledDelay)
		select {
		case <-p.aborting:
			timer.Stop()
			return ErrShutdown
		case <-timer.C:
		}
	}
}

// judge turns an outcome into a state, as Asynq will.
func (a *adoption) judge(ctx context.Context, t *asynq.Task, x *execution, o outcome) error {
	p := a.p
	switch {
	case errors.Is(o.cause, errSuperseded):
		return &retryError{err: errSuperseded, delay: unsettledDelay}
	case errors.Is(o.cause, ErrCancelled):
		return p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case errors.Is(o.cause, ErrShutdown):
		if err := p.again(ctx, x, StateQueued, 0, true, ErrShutdown); !errors.Is(err, asynq.RevokeTask) {
			return ErrShutdown
		}
		return asynq.RevokeTask
	case o.cause != nil:
		return a.asynqEnd(ctx, x, o)
	case o.err == nil:
		return p.conclude(ctx, x, StateCompleted, a.result(x), "", "", nil)
	case errors.Is(o.err, asynq.RevokeTask):
		return p.conclude(ctx, x, StateCancelled, nil, codeRevoked, "the work was withdrawn", o.err)
	}
	code, text := public(o.err)
	if x.attempt >= x.limit || errors.Is(o.err, asynq.SkipRetry) {
		return a.fail(ctx, x, code, text, o.err)
	}
	state, failure := StateRetrying, a.isFailure(o.err)
	if !failure {
		state = StateScheduled
	}
	err := p.again(ctx, x, state, a.delay(x.attempt-1, o.err, t), !failure, o.err)
	return raised(err, o.err)
}

// fail ends a job as failed. What Asynq is told is the handler's own
// error again.
func (a *adoption) fail(ctx context.Context, x *execution, code, text string, cause error) error {
	return raised(a.p.conclude(ctx, x, StateFailed, nil, code, text, cause), cause)
}

// raised is what Asynq is told of a handler's error once that is settled: a panic
// goes on as one, and what ends the task anyway as it was.
func raised(verdict, cause error) error {
	pe, panicked := errors.AsType[*panicError](cause)
	switch {
	case verdict == nil, errors.Is(verdict, asynq.RevokeTask):
		return verdict
	case panicked:
		return pe
	case errors.Is(verdict, asynq.SkipRetry):
		return cause
	default:
		return verdict
	}
}

// asynqEnd settles a run whose context Asynq ended: its time was up, an operator
// cancelled it by Asynq's own tools, or its lease was lost. Asynq has decided by
// itself what becomes of the task, and does not ask any more.
func (a *adoption) asynqEnd(ctx context.Context, x *execution, o outcome) error {
	p := a.p
	code, text := public(o.cause)
	for end := time.Now().Add(settledFor); time.Now().Before(end); {
		info, err := p.client.inspect.GetTaskInfo(x.queue, x.adopted)
		switch {
		case err != nil:
		case info.State == asynq.TaskStateArchived:
			return a.fail(ctx, x, code, text, o.cause)
		case info.State == asynq.TaskStateRetry:
			return p.again(ctx, x, StateRetrying, time.Until(info.NextProcessAt), false, o.cause)
		}
		timer := time.NewTimer(retryBase)
		select {
		case <-p.aborting:
			timer.Stop()
			return o.cause
		case <-timer.C:
		}
	}
	p.log.WarnContext(ctx, "lease was lost", "id", x.id, "action", x.kind, "error", o.cause)
	return o.cause
}

// result is what the handler wrote with the task's ResultWriter, as JSON.
func (a *adoption) result(x *execution) []byte {
	info, err := a.p.client.inspect.GetTaskInfo(x.queue, x.adopted)
	if err != nil || len(info.Result) == 0 || len(info.Result) > maxResult {
		return []byte("null")
	}
	if json.Valid(info.Result) {
		return info.Result
	}
	b, err := json.Marshal(storable(string(info.Result)))
	if err != nil || len(b) > maxResult {
		return []byte("null")
	}
	return b
}

// taskOf names the Asynq task of a job, with its queue.
func (k keys) taskOf(rec *record) (queue, id string) {
	if rec.raw != "" {
		return rec.Queue, rec.raw
	}
	return k.inAsynq(rec.Queue), tasks.IDOf(rec.ID, rec.Gen)
}

// retryAdopted runs an adopted task again, as Asynq's tools would: one that it
// has archived.
func retryAdopted(c *Client, rec *record) error {
	err := c.inspect.RunTask(c.taskOf(rec))
	if tasks.Gone(err) {
		return fmt.Errorf("%w: %q is %s, and Asynq has its task no more", ErrEnded, rec.ID, rec.State)
	}
	if err != nil {
		return fmt.Errorf("jobs: run job %q: %w", rec.ID, err)
	}
	return nil
}
