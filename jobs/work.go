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
)

const (
	// persistFor is how long the verdict of an execution is insisted on: about
	// as long as Asynq's lease lasts when Redis is away.
	persistFor  = 25 * time.Second
	persistBase = 50 * time.Millisecond
	persistMax  = time.Second
	// unsettledDelay is the wait before a task is tried again whose verdict
	// could not be stored.
	unsettledDelay = time.Second
)

// process is the handler of every Asynq task. It always comes back with a
// verdict of our own; Asynq's count of retries, its timeout and its view of a
// cancelled task decide nothing.
func (p *Pool) process(ctx context.Context, t *asynq.Task) (err error) {
	task, _ := asynq.GetTaskID(ctx)
	defer p.ahead.left(task)
	x, err := p.newExecution(ctx, t)
	if err != nil {
		p.log.ErrorContext(ctx, "task is no job", "action", t.Type(), "error", err)
		return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
	}
	p.enter(x)
	defer p.leave(x)
	if x.headers["traceparent"] != "" { // the handler and the pushes belong to the request's trace
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(x.headers))
	}
	ctx, span := p.tracer.Start(ctx, "job "+x.kind, trace.WithSpanKind(trace.SpanKindConsumer))
	defer func() { x.describe(span, err); span.End() }()
	settle := context.WithoutCancel(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	if x.plain != nil && retried == 0 {
		return p.performPlain(ctx, settle, x)
	}
	begun := p.refresh(settle, x, retried)
	if x.fresh {
		return p.perform(ctx, settle, x)
	}
	r, err := p.begin(settle, x, retried, begun)
	if err != nil {
		return &retryError{err: err, delay: unsettledDelay}
	}
	verdict := r.str(0)
	switch verdict {
	case "gone": // the record's retention has passed; an operator asks too late
		return fmt.Errorf("job %s has no record: %w", x.id, asynq.SkipRetry)
	case "old":
		return fmt.Errorf("job %s generation %d was opened again: %w", x.id, x.gen, asynq.RevokeTask)
	case "over", "owed":
		return p.wasOver(settle, x, State(r.str(1)), verdict == "owed")
	}
	x.run, x.attempt, x.limit = r.num(1), int(r.num(2)), int(r.num(3))
	if x.dests, err = r.dests(4); err != nil {
		p.log.ErrorContext(ctx, "job has an unreadable destination", "id", x.id, "error", err)
	}
	switch verdict {
	case "cancel":
		return p.conclude(settle, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case "spent":
		x.attempt = x.limit
		err := errors.New("the worker died in the last attempt")
		return p.conclude(settle, x, StateFailed, nil, codeCrashed, "the work was interrupted too often", err)
	}
	return p.perform(ctx, settle, x)
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

// begin asks the record for the verdict on an execution. begun tells that there
// may have been one before of which it does not know.
func (p *Pool) begin(ctx context.Context, x *execution, retried int, begun bool) (r reply, err error) {
	token, before := newToken(), 0
	if begun {
		before = 1
	}
	ask := func() error {
		return p.persist(ctx, func(ctx context.Context) (err error) {
			now := time.Now()
			r, err = p.client.reply(ctx, "begin", x.id, x.id, x.gen, ms(now), ms(now.Add(stallAfter)), token, before)
			return err
		})
	}
	err = ask()
	if err == nil && x.plain != nil && r.str(0) == "gone" {
		if err = p.beginPlain(ctx, x, retried); err == nil {
			err = ask()
		}
	}
	x.plain = nil
	return r, err
}

// newToken names a call that may be repeated when its answer is lost.
func newToken() string {
	return strconv.FormatUint(rand.Uint64(), 36) //nolint:gosec // it need only differ from the last one's
}

// wasOver settles a task whose job has ended already: a re-run after a crash
// between our decision and Asynq's, or an operator's.
func (p *Pool) wasOver(ctx context.Context, x *execution, s State, owed bool) error {
	if owed {
		if err := p.persist(ctx, func(ctx context.Context) error { return p.client.deliver(ctx, x.id) }); err != nil {
			p.log.WarnContext(ctx, "terminal event still owed", "id", x.id, "error", err)
		}
	}
	if x.headers[headerPlain] != "" && s == StateFailed {
		if why, err := p.client.rdb.HGet(ctx, p.client.job(x.id)[0], "why").Result(); err == nil {
			return verdictFor(x, s, errors.New(why))
		}
	}
	return verdictFor(x, s, fmt.Errorf("job %s was %s before", x.id, s))
}

// verdictFor returns what Asynq is to do with the task of a job that ended.
func verdictFor(_ *execution, s State, err error) error {
	switch s {
	case StateCompleted:
		return nil
	case StateFailed:
		return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
	default:
		return fmt.Errorf("%w: %w", err, asynq.RevokeTask)
	}
}

// perform runs the handler and settles what came of it.
func (p *Pool) perform(ctx, settle context.Context, x *execution) error {
	if h, ok := p.handlers[x.kind]; ok {
		x.handler = h
	} else {
		x.handler = func(context.Context, *execution) ([]byte, error) {
			return nil, &codedError{codeUnknown, "this kind of work is not known here", fmt.Errorf("kind %q", x.kind)}
		}
	}
	wait, err := p.client.acquire(settle, x)
	if err != nil {
		return p.again(settle, x, StateScheduled, unsettledDelay, true, fmt.Errorf("limit: %w", err))
	}
	if wait > 0 {
		return p.again(settle, x, StateScheduled, wait, true, errors.New("limit reached"))
	}
	defer p.client.release(settle, x)

	if len(x.dests) > 0 {
		p.client.tell(settle, eventStarted, x.event(StateRunning), x.dests, fmt.Sprintf("job:%s:%d:started:%d", x.id, x.gen, x.run))
	}
	begun := time.Now()
	o := x.execute(ctx)
	p.client.metrics.seconds.WithLabelValues(x.metricKind()).Observe(time.Since(begun).Seconds())
	return p.judge(settle, x, o)
}

// judge turns an outcome into a state.
func (p *Pool) judge(ctx context.Context, x *execution, o outcome) error {
	attr := []any{"id", x.id, "action", x.kind, "attempt", x.attempt, "error", o.err}
	switch {
	case errors.Is(o.cause, errSuperseded):
		p.log.InfoContext(ctx, "job was taken over by another worker", attr...)
		return &retryError{err: errSuperseded, delay: unsettledDelay}
	case errors.Is(o.cause, ErrCancelled):
		return p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case o.err == nil:
		return p.conclude(ctx, x, StateCompleted, o.result, "", "", nil)
	case errors.Is(o.cause, ErrShutdown):
		return p.again(ctx, x, StateQueued, 0, true, ErrShutdown)
	case o.cause != nil && !errors.Is(o.cause, errTimeout):
		return p.outsideEnd(ctx, x, o)
	}
	if s, ok := errors.AsType[*snoozeError](o.err); ok {
		return p.again(ctx, x, StateScheduled, s.d, true, o.err)
	}
	if pe, ok := errors.AsType[*panicError](o.err); ok {
		attr = append(attr, "stack", string(pe.stack))
	}
	_, final := errors.AsType[*discardError](o.err)
	if final || x.attempt >= x.limit {
		p.log.ErrorContext(ctx, "job failed", attr...)
		code, text := public(o.err)
		return p.conclude(ctx, x, StateFailed, nil, code, text, o.err)
	}
	p.log.WarnContext(ctx, "attempt failed", attr...)
	return p.again(ctx, x, StateRetrying, x.backoff(), false, o.err)
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
	if held, err := x.holds(ctx); !held {
		p.log.WarnContext(ctx, "lease was lost", "id", x.id, "action", x.kind, "error", errors.Join(o.err, err))
		return &retryError{err: o.err, delay: unsettledDelay}
	}
	return p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
}

// conclude decides the job's end and delivers its event. When the decision
// cannot be stored the task comes back and begin decides; when only the event
// cannot, the watchdog delivers it.
func (p *Pool) conclude(ctx context.Context, x *execution, s State, result []byte, code, text string, cause error) error {
	if x.plain != nil || x.fresh {
		if settled, err := p.concludeFresh(ctx, x, s, result, cause); settled {
			return err
		}
	}
	var f finished
	err := p.persist(ctx, func(ctx context.Context) (err error) {
		f, err = p.client.finish(ctx, x.id, end{
			gen: x.gen, run: x.run, state: s, result: result, code: code, err: text, retention: x.opts.Retention,
		})
		return err
	})
	if err != nil {
		p.log.WarnContext(ctx, "end of job not stored", "id", x.id, "error", err)
		return &retryError{err: err, delay: unsettledDelay}
	}
	switch f.verdict {
	case "stale":
		return &retryError{err: errSuperseded, delay: unsettledDelay}
	case "over":
		// Our own decision when its answer got lost, or somebody's before us.
		return p.wasOver(ctx, x, f.state, true)
	}
	p.client.metrics.ended(x.metricKind(), f.state)
	p.client.metrics.attempts.WithLabelValues(x.metricKind(), string(f.state)).Inc()
	if len(f.dests) > 0 || f.follow != "" {
		e := x.event(f.state)
		e.Code, e.Error = code, text
		if f.state != s {
			e.Code, e.Error, result = codeCancelled, "cancelled", nil
		}
		if err := p.client.settle(ctx, e, result, f.dests, f.follow, x.opts.Retention); err != nil {
			p.log.WarnContext(ctx, "terminal event owed to the watchdog", "id", x.id, "error", err)
		}
	}
	if cause == nil {
		cause = ErrCancelled
	}
	return verdictFor(x, f.state, cause)
}

// again sends the job back to wait.
func (p *Pool) again(ctx context.Context, x *execution, s State, delay time.Duration, giveBack bool, cause error) error {
	if settled, err := p.join(ctx, x); settled {
		return err
	}
	now := time.Now()
	next := now.Add(delay)
	var code, text string
	if s == StateRetrying {
		code, text = public(cause)
	}
	back := 0
	if giveBack {
		back = 1
	}
	var n int
	err := p.persist(ctx, func(ctx context.Context) (err error) {
		n, err = p.client.number(ctx, "again", x.id, x.id, x.gen, x.run, ms(now), ms(now.Add(firstCheck)), string(s), ms(next), back, code, text)
		return err
	})
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "wait of job not stored", "id", x.id, "error", err)
	case n == 2:
		return p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case n < 0:
		return &retryError{err: errSuperseded, delay: unsettledDelay}
	}
	p.client.metrics.attempts.WithLabelValues(x.metricKind(), string(s)).Inc()
	if s == StateRetrying {
		e := x.event(s)
		e.Code, e.Error, e.NextAt = code, text, next
		p.client.tell(ctx, string(s), e, x.dests, fmt.Sprintf("job:%s:%d:retrying:%d", x.id, x.gen, x.run))
	}
	return &retryError{err: cause, delay: delay, failure: !giveBack}
}

// persist repeats f until it succeeds, for about as long as the lease lasts.
func (p *Pool) persist(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, persistFor)
	defer cancel()
	for wait := persistBase; ; wait = min(2*wait, persistMax) {
		err := f(ctx)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-p.aborting:
			timer.Stop()
			return err
		case <-timer.C:
			continue
		}
		timer.Stop()
		return err
	}
}

func (p *Pool) newExecution(ctx context.Context, t *asynq.Task) (*execution, error) {
	h := t.Headers()
	x := &execution{
		pool: p, id: h[headerID], kind: t.Type(), payload: t.Payload(), headers: h,
		progressed: make(chan struct{}, 1), interrupted: make(chan struct{}, 1),
	}
	x.queue, _ = asynq.GetQueueName(ctx)
	opts, gen := h[headerOptions], h[headerGen]
	if v, ok := h[headerPlain]; ok {
		x.plain = &plainTask{id: x.id, kind: x.kind, queue: x.queue, payload: x.payload}
		x.plain.made, opts, ok = parsePlain(v)
		x.plain.rawOpts = opts
		if ok {
			gen = "1"
		}
	}
	var err error
	if x.gen, err = strconv.Atoi(gen); x.id == "" || err != nil {
		return nil, fmt.Errorf("%w: task %q was not enqueued by this package", ErrInvalid, t.Type())
	}
	if x.opts, err = p.client.options.decode(x.kind, opts); err != nil {
		return nil, fmt.Errorf("%w: job %q: options: %w", ErrInvalid, x.id, err)
	}
	if x.plain != nil {
		x.plain.opts = x.opts
	}
	return x, nil
}

// backoff is the wait after the present attempt.
func (x *execution) backoff() time.Duration {
	d := x.opts.Max
	if n := x.attempt - 1; n < 32 && x.opts.Base <= x.opts.Max>>n {
		d = x.opts.Base << n
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1)) //nolint:gosec // jitter needs no secrecy
}
