package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lastmile/jobs/internal/tasks"
)

const (
	// retryFor is how long what a run needs of Redis is tried for: about as long
	// as Asynq's lease lasts when Redis is away. See insist.
	retryFor  = 25 * time.Second
	retryBase = 50 * time.Millisecond
	retryMax  = time.Second
	// unsettledDelay is the wait before a task is tried again whose verdict
	// could not be stored.
	unsettledDelay = time.Second
)

// process is the handler of every Asynq task. It always comes back with a
// verdict of our own; Asynq's count of retries, its timeout and its view of a
// cancelled task decide nothing.
func (p *Pool) process(ctx context.Context, t *asynq.Task) (err error) {
	task, _ := asynq.GetTaskID(ctx)
	defer p.prefetch.Returned(task)
	defer p.alone.leave(ctx, task)
	p.parked.Take([]string{task}) // what Asynq did not come for
	x, err := p.newExecution(ctx, t)
	if err != nil {
		return p.refuse(ctx, t, task, err)
	}
	p.enter(x)
	defer p.leave(x)
	past := p.prefetch.Past(task)
	if why := p.misfits.fit(x); why != nil {
		if wait, back := p.misfits.putOff(context.WithoutCancel(ctx), x.queue, task, x.kind, why); back {
			return &retryError{err: why, delay: wait}
		}
		x.misfit = why
	}
	if p.alone.suspects(past) {
		if err := p.alone.enter(ctx, x, past); err != nil {
			return err
		}
	}
	if x.headers["traceparent"] != "" { // the handler and the pushes belong to the request's trace
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(x.headers))
	}
	ctx, span := p.tracer.Start(ctx, "job "+x.kind, trace.WithSpanKind(trace.SpanKindConsumer))
	defer func() { x.describe(span, err); span.End() }()
	endCtx := context.WithoutCancel(ctx) // what the run comes to is stored whatever ends it
	retried, _ := asynq.GetRetryCount(ctx)
	retried += past.Losses + past.Deaths // Asynq does not count these
	if x.record == noRecord && retried == 0 && !begunBefore(p.prefetch, x) {
		return p.performPlain(ctx, endCtx, x)
	}
	before := p.runUnrecorded(endCtx, x, retried)
	if x.record == recordUnaware {
		return p.perform(ctx, endCtx, x)
	}
	b, err := p.begin(ctx, endCtx, x, before)
	if err != nil {
		return &retryError{err: err, delay: unsettledDelay}
	}
	switch b.beginning {
	case beginGone: // the record's retention has passed; an operator asks too late
		return fmt.Errorf("job %s has no record: %w", x.id, asynq.SkipRetry)
	case beginStale:
		return p.superseded(endCtx, x)
	case beginOld:
		return fmt.Errorf("job %s generation %d was opened again: %w", x.id, x.gen, asynq.RevokeTask)
	case beginOver, beginUndelivered:
		return p.wasOver(endCtx, x, b.state, b.beginning == beginUndelivered)
	default:
	}
	x.run, x.attempt, x.limit, x.waiting, x.came = b.run, b.attempt, b.limit, b.dests, b.came
	x.dests = p.client.notify.some(endCtx, x.id, b.first, b.dests)
	switch b.beginning {
	case beginCancel:
		return p.conclude(endCtx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case beginSpent:
		return p.conclude(endCtx, x, StateFailed, nil, codeCrashed, "the work was interrupted too often", errDied)
	default:
		return p.perform(ctx, endCtx, x)
	}
}

// refuse settles a task that cannot be read.
func (p *Pool) refuse(ctx context.Context, t *asynq.Task, task string, err error) error {
	if errors.Is(err, tasks.ErrNoJob) { // take.lua was not asked: see Known
		p.client.foreign.note(ctx, t.Type())
		return &retryError{err: err, delay: foreignDelay}
	}
	name, _ := asynq.GetQueueName(ctx)
	queue, _ := p.client.fromAsynq(name)
	why := misfit(codeFormat, "the job cannot be read here", err)
	if wait, back := p.misfits.putOff(context.WithoutCancel(ctx), queue, task, t.Type(), why); back {
		return &retryError{err: why, delay: wait}
	}
	p.log.ErrorContext(ctx, "task cannot be read", "action", t.Type(), "error", err)
	return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
}

// describe tells the span what was executed and what Asynq was told of it.
func (x *execution) describe(span trace.Span, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("job.id", x.id), attribute.String("job.queue", x.queue),
		attribute.Int("job.generation", x.gen), attribute.Int("job.attempt", x.attempt))
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, "not completed")
	}
}

// begin asks the record whether a run may begin, as long as the task is the worker's,
// which runCtx tells. before tells that there may
// have been one of which it does not know.
func (p *Pool) begin(runCtx, ctx context.Context, x *execution, before bool) (b begun, err error) {
	token, lost := newToken(), false
	deaths, most := p.prefetch.Past(x.task()).Deaths, x.opts.mostDeaths()
	ask := func() error {
		return p.insist(ctx, func(ctx context.Context) error {
			if lost = runCtx.Err() != nil; lost {
				return nil
			}
			now := p.client.clock.now(ctx)
			keys, held, void, err := handOut(ctx, p.client, x)
			if void {
				b.beginning = beginStale
			}
			if void || err != nil {
				return err
			}
			r, err := p.client.run(ctx, "begin", keys, x.id, x.gen, ms(now), ms(now.Add(stallAfter)), token, flag(before), p.name, held,
				deaths, most, most+muteMost).Slice()
			if err == nil {
				b, err = parseBegun(r)
			}
			if err != nil {
				return fmt.Errorf("jobs: begin job %q: %w", x.id, err)
			}
			return nil
		})
	}
	err = ask()
	if err == nil && x.record == noRecord && b.beginning == beginGone {
		if err = p.beginPlain(ctx, x); err == nil {
			err = ask()
		}
	}
	if lost { // while Redis took no writes
		return b, fmt.Errorf("jobs: begin job %q: its task was lost meanwhile", x.id)
	}
	x.record = recordKnows
	return b, err
}

// newToken names a call that may be repeated when its answer is lost.
func newToken() string {
	return strconv.FormatUint(rand.Uint64(), 36) //nolint:gosec // it need only differ from the last one's
}

// perform runs the handler and settles what came of it.
func (p *Pool) perform(ctx, endCtx context.Context, x *execution) error {
	x.handler = p.handlers[x.kind].run
	if x.misfit != nil {
		x.handler = func(context.Context, *execution) ([]byte, error) { return nil, Discard(x.misfit) }
		x.opts.Limits = nil // it takes nobody's place
	}
	if settled, err := p.limited(endCtx, x); settled {
		return err
	}
	defer p.client.limits.release(endCtx, x)

	if len(x.dests) > 0 {
		p.client.notify.tell(endCtx, eventStarted, x.event(StateRunning), x.dests, fmt.Sprintf("job:%s:%d:started:%d", x.id, x.gen, x.run))
	}
	begun := time.Now()
	o := x.execute(ctx)
	p.client.metrics.seconds.WithLabelValues(x.metricKind()).Observe(time.Since(begun).Seconds())
	return p.judge(endCtx, x, o)
}

// judge turns an outcome into a state.
func (p *Pool) judge(ctx context.Context, x *execution, o outcome) error {
	attr := []any{"id", x.id, "action", x.kind, "attempt", x.attempt, "error", o.err}
	switch {
	case errors.Is(o.cause, errSuperseded):
		p.log.InfoContext(ctx, "job was taken over by another worker", attr...)
		return p.superseded(ctx, x)
	case errors.Is(o.cause, ErrCancelled):
		return p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case o.err == nil:
		return p.conclude(ctx, x, StateCompleted, o.result, "", "", nil)
	case errors.Is(o.cause, ErrShutdown):
		return p.again(ctx, x, StateQueued, 0, true, ErrShutdown)
	case o.cause != nil && !errors.Is(o.cause, errTimeout):
		return p.outsideEnd(ctx, x, o)
	}
	if w, ok := errors.AsType[*waitError](o.err); ok {
		return p.again(ctx, x, StateScheduled, max(0, w.due.Sub(p.client.clock.now(ctx))), true, o.err)
	}
	if s, ok := errors.AsType[*snoozeError](o.err); ok {
		return p.again(ctx, x, StateScheduled, s.d, true, o.err)
	}
	if pe, ok := errors.AsType[*panicError](o.err); ok {
		attr = append(attr, "stack", string(pe.stack))
	}
	_, final := errors.AsType[*discardError](o.err)
	if why, ok := errors.AsType[*misfitError](o.err); ok && !final {
		if wait, back := p.misfits.putOff(ctx, x.queue, x.task(), x.kind, why); back {
			x.misfit = why
			return p.again(ctx, x, StateScheduled, wait, true, o.err)
		}
		final = true
	}
	if final || x.attempt >= x.limit {
		p.log.ErrorContext(ctx, "job failed", attr...)
		code, text := public(o.err)
		return p.conclude(ctx, x, StateFailed, nil, code, text, o.err)
	}
	p.log.WarnContext(ctx, "attempt failed", attr...)
	return p.again(ctx, x, StateRetrying, x.backoff(), false, o.err)
}

// superseded settles an execution that has no say any more. When another one has
// followed it, the task is that one's: given back, it would be handed out once
// more, and end that one, and so on.
func (p *Pool) superseded(ctx context.Context, x *execution) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if rec, err := p.client.load(ctx, x.id); err == nil && rec.Gen == x.gen && rec.run > x.run {
		p.parked.Put(x.task(), struct{}{})
	}
	return &retryError{err: errSuperseded, delay: unsettledDelay}
}

// outsideEnd settles an execution whose context Asynq ended: it gave the task
// back in a stop, the lease is lost, or an operator cancelled the task behind
// our back. Whose the task is tells the last two apart.
func (p *Pool) outsideEnd(ctx context.Context, x *execution, o outcome) error {
	select {
	case <-p.draining:
		return p.again(ctx, x, StateQueued, 0, true, ErrShutdown)
	default:
	}
	if held, err := p.holds(ctx, x); !held {
		p.log.WarnContext(ctx, "lease was lost", "id", x.id, "action", x.kind, "error", errors.Join(o.err, err))
		return &retryError{err: o.err, delay: unsettledDelay}
	}
	return p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
}

// again sends the job back to wait.
func (p *Pool) again(ctx context.Context, x *execution, s State, delay time.Duration, giveBack bool, cause error) error {
	if settled, err := p.join(ctx, x); settled {
		return err
	}
	now := p.client.clock.now(ctx)
	next := now.Add(delay)
	var code, text, kept string
	if s == StateRetrying {
		code, text = public(cause)
		kept = x.failure(code, cause)
	}
	var wait string
	if w, ok := errors.AsType[*waitError](cause); ok {
		wait = w.name
	}
	back := 0
	if giveBack {
		back = 1
	}
	var n int
	err := p.insist(ctx, func(ctx context.Context) (err error) {
		n, err = p.client.number(ctx, "again", x.id, x.id, x.gen, x.run, ms(now), ms(now.Add(firstCheck)), string(s), ms(next), back, code, text, kept, wait)
		return err
	})
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "wait of job not stored", "id", x.id, "error", err)
		return &retryError{err: cause, delay: max(delay, unsettledDelay)}
	case waiting(n) == waitCancel:
		return p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case waiting(n) == waitStale:
		return p.superseded(ctx, x)
	}
	if waiting(n) == waitOver {
		delay = 0
	}
	_, snoozed := errors.AsType[*snoozeError](cause)
	p.misfits.noteRun(ctx, x, x.misfit != nil, snoozed || wait != "" || s == StateRetrying)
	p.client.metrics.attempts.WithLabelValues(x.metricKind(), string(s)).Inc()
	if s == StateRetrying {
		e := x.event(s)
		e.Code, e.Error, e.NextAt = code, text, next
		p.client.notify.tell(ctx, string(s), e, x.dests, fmt.Sprintf("job:%s:%d:retrying:%d", x.id, x.gen, x.run))
	}
	return &retryError{err: cause, delay: delay, failure: !giveBack}
}

// holds tells whether the task was the execution's when its context ended.
// Heartbeats do not tell: they go through again before Asynq notices that a lease
// ran out meanwhile, and on a cluster they go to another node than Asynq's.
func (p *Pool) holds(ctx context.Context, x *execution) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rec, err := p.client.load(ctx, x.id)
	if err == nil && (rec.Gen != x.gen || rec.run != x.run) || err != nil && !errors.Is(err, ErrNotFound) {
		return false, err // of another execution, or nobody knows
	}
	return p.client.tasks.Held(ctx, p.client.inAsynq(x.queue), x.task(), p.prefetch.Token(x.task()))
}

func (p *Pool) newExecution(ctx context.Context, t *asynq.Task) (*execution, error) {
	h, err := tasks.ParseHeader(t.Headers())
	switch {
	case h.App != p.client.prefix:
		return nil, fmt.Errorf("%w: of type %q", tasks.ErrNoJob, t.Type())
	case err != nil:
		return nil, fmt.Errorf("%w: of type %q", errFormat, t.Type())
	}
	x := &execution{
		pool: p, id: h.ID, gen: h.Gen, kind: t.Type(), payload: t.Payload(), headers: t.Headers(),
		progressed: make(chan struct{}, 1), interrupted: make(chan struct{}, 1), joins: make(chan chan<- error), taken: make(chan struct{}, 1),
	}
	name, _ := asynq.GetQueueName(ctx)
	x.queue, _ = p.client.fromAsynq(name) // the pool works on no other
	if x.opts, err = p.client.options.decode(x.kind, h.Options); err != nil {
		x.misfit = misfit(codeFormat, "the job cannot be read here", fmt.Errorf("options: %w", err))
		x.opts = usualOptions(p.kinds[x.kind])
	}
	if h.Plain {
		x.record = noRecord
		x.plain = &plainTask{
			id: x.id, kind: x.kind, queue: x.queue, payload: x.payload, rawOpts: h.Options, opts: x.opts, made: h.Made,
		}
	}
	return x, nil
}

// usualOptions are those of a kind whose job's own cannot be read.
func usualOptions(d *definition) jobOptions {
	s := defaults()
	if d != nil {
		s = d.base
	}
	return jobOptions{Timeout: s.timeout, Retention: s.retention, Base: s.backoffBase, Max: s.backoffMax, Limit: s.maxRetry + 1}
}

// backoff is the wait after the present attempt.
func (x *execution) backoff() time.Duration {
	d := x.opts.Max
	if n := x.attempt - 1; n < 32 && x.opts.Base <= x.opts.Max>>n {
		d = x.opts.Base << n
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1)) //nolint:gosec // jitter needs no secrecy
}

// retryDelay tells Asynq when to try a task again.
func retryDelay(held *tasks.Prefetch, clock *clock) asynq.RetryDelayFunc {
	return func(_ int, err error, t *asynq.Task) time.Duration {
		r, ok := errors.AsType[*retryError](err)
		if !ok {
			return time.Second
		}
		if h, err := tasks.ParseHeader(t.Headers()); err == nil {
			due := clock.last().Add(r.delay)
			held.Due(tasks.IDOf(h.ID, h.Gen), due, clock.local(due).Unix())
		}
		return r.delay
	}
}
