package jobs

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/jobs/internal/tasks"
)

const (
	// beatEvery is the heartbeat of a running job; it finds cancellations whose
	// message got lost.
	beatEvery = 4 * time.Second
	// joinAfter is when a record that is unaware of a run learns of it.
	joinAfter = time.Second
	// stallAfter is the silence after which a run counts as stalled. With
	// watchEvery on top it stays under 15 seconds.
	stallAfter = 12 * time.Second
	// progressEvery bounds how often progress is stored and pushed.
	progressEvery = 100 * time.Millisecond
	// callTimeout bounds one heartbeat.
	callTimeout = 3 * time.Second
)

// execution is one run of one job's handler.
type execution struct {
	pool    *Pool
	id      string
	kind    string
	queue   string
	gen     int
	run     int64
	attempt int
	limit   int
	payload []byte
	headers map[string]string
	opts    jobOptions
	dests   []dest // those that are told what goes on, see some
	waiting int    // how many sessions want the events
	handler handlerFunc
	args    any          // as read before the run, a pointer; nil when they are still to be read
	misfit  *misfitError // why this worker cannot run the job
	adopted string       // the ID of the Asynq task, of an adopted one
	label   string       // the kind in metrics, of an adopted task
	noted   bool         // the task says that the record knows of a run
	renewed time.Time    // of the places under limits
	came    int64        // its place in the order of those who wait for a limit
	record  recordState
	plain   *plainTask // of a plain job
	to      string     // the destination that dests was read from, while the record is unaware
	began   time.Time

	progressed  chan struct{}     // something to report
	interrupted chan struct{}     // look for a cancellation now
	taken       chan struct{}     // another worker has the task
	joins       chan chan<- error // the handler needs the record to know of the run
	journal     journal
	streams     streams
	asker       string // the first session that is told

	mu       sync.Mutex
	over     bool
	dirty    bool
	fraction float64
	message  string
}

// task names the Asynq task.
func (x *execution) task() string { return cmp.Or(x.adopted, tasks.IDOf(x.id, x.gen)) }

// report takes a handler's progress.
func (x *execution) report(fraction float64, message string) {
	if !(fraction >= 0) { // also catches NaN
		fraction = 0
	}
	message = shorten(message, maxMessage)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	x.fraction, x.message, x.dirty = min(fraction, 1), message, true
	select {
	case x.progressed <- struct{}{}:
	default:
	}
}

func (x *execution) interrupt() {
	select {
	case x.interrupted <- struct{}{}:
	default:
	}
}

// lose tells the execution that another worker has its task.
func (x *execution) lose() {
	select {
	case x.taken <- struct{}{}:
	default:
	}
}

// event returns the event of the job in the state.
func (x *execution) event(s State) *Event {
	x.mu.Lock()
	defer x.mu.Unlock()
	return &Event{
		ID: x.id, Kind: x.kind, State: s, Attempt: x.attempt, Attempts: x.limit, Gen: x.gen,
		Fraction: x.fraction, Message: x.message,
	}
}

func (x *execution) metricKind() string { return cmp.Or(x.label, x.pool.metricKind(x.kind)) }

func (p *Pool) metricKind(kind string) string {
	if p.kinds[kind] == nil {
		return "unknown"
	}
	return kind
}

// execute runs the handler and tends it: heartbeats, progress, cancellation,
// timeout. It comes back at the latest Grace after the handler's context
// ended; a handler that still runs then has no voice any more.
func (x *execution) execute(ctx context.Context) outcome {
	ctx, cancel := context.WithCancelCause(context.WithValue(x.withChildren(ctx), executionKey{}, x))
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, x.opts.Timeout, errTimeout)
	defer stop()
	x.began = x.pool.client.clock.now(ctx)
	if len(x.dests) > 0 {
		x.asker = x.dests[0].Session
	}
	x.renewed = time.Now()

	done := make(chan outcome, 1)
	left := make(chan struct{})
	go x.invoke(ctx, done, left)

	beat := time.NewTicker(x.firstBeat())
	defer beat.Stop()
	p := new(pacer)
	var grace <-chan time.Time
	aborting, ended := x.pool.aborting, ctx.Done()
	for {
		select {
		case o := <-done:
			o.cause = context.Cause(ctx)
			x.silence(ctx, p)
			return o
		case <-x.progressed:
			p.due(func() { x.beatOnce(ctx, cancel) })
		case <-p.timer:
			p.fire(func() { x.beatOnce(ctx, cancel) })
		case <-beat.C:
			beat.Reset(beatEvery)
			x.beatOnce(ctx, cancel)
		case <-x.interrupted:
			x.beatOnce(ctx, cancel)
		case answer := <-x.joins:
			answer <- x.joinNow(ctx, cancel)
		case <-x.taken:
			cancel(errSuperseded)
		case <-aborting:
			aborting = nil
			cancel(ErrShutdown)
		case <-ended:
			ended = nil
			grace = time.After(x.pool.cfg.Grace)
		case <-grace:
			x.silence(ctx, p)
			x.abandonHandler(ctx, left)
			return outcome{err: context.Cause(ctx), cause: context.Cause(ctx)}
		}
	}
}

func (x *execution) firstBeat() time.Duration {
	if x.record == recordUnaware {
		return joinAfter
	}
	return beatEvery
}

// invoke calls the handler. left is closed once it has returned.
func (x *execution) invoke(ctx context.Context, done chan<- outcome, left chan<- struct{}) {
	defer close(left)
	o := outcome{err: errExited}
	defer func() {
		if v := recover(); v != nil {
			o = outcome{err: tame(&panicError{v, debug.Stack()})}
		}
		done <- o
	}()
	if x.adopted != "" { // its middleware is its own, and so is what its errors say to Asynq
		_, err := x.handler(ctx, x)
		o = outcome{err: keep(x.finishHandler(ctx, err))}
		return
	}
	next := func(ctx context.Context, w *Work) ([]byte, error) {
		x.payload = w.Args
		return x.handler(ctx, x)
	}
	for _, wrap := range slices.Backward(x.pool.cfg.Work) {
		next = wrap(next)
	}
	b, err := next(ctx, &Work{
		ID: x.id, Kind: x.kind, Queue: x.queue, Attempt: x.attempt, Gen: x.gen, Args: x.payload,
	})
	if err == nil && len(x.pool.cfg.Work) > 0 {
		b, err = checkResult(b)
	}
	err = x.finishHandler(ctx, err)
	o = outcome{result: b, err: tame(err)}
}

// finishHandler is done with what a handler used that has returned. It has failed
// if its streams cannot be closed: readers would wait for ever.
func (x *execution) finishHandler(ctx context.Context, err error) error {
	x.tellUnasked(ctx, err)
	if err == nil {
		return x.closeStreams(ctx)
	}
	x.flushStreams(ctx)
	return err
}

// tellUnasked names the steps that a handler that has come to its end did not come
// to: they were done, under another name or for nothing.
func (x *execution) tellUnasked(ctx context.Context, err error) {
	if names := x.journal.unasked(); err == nil && len(names) > 0 {
		x.pool.log.WarnContext(ctx, "stored steps were not asked for", "id", x.id, "action", x.kind, "steps", names)
	}
}

// silence ends the handler's voice and reports what it said last.
func (x *execution) silence(ctx context.Context, p *pacer) {
	p.stop()
	x.mu.Lock()
	x.over = true
	dirty := x.dirty
	x.mu.Unlock()
	if dirty {
		x.beatOnce(ctx, func(error) {})
	}
}

func (x *execution) abandonHandler(ctx context.Context, left <-chan struct{}) {
	x.pool.log.ErrorContext(ctx, "handler ignores the end of its context",
		"id", x.id, "action", x.kind, "attempt", x.attempt, "error", context.Cause(ctx))
	gauge, end := x.pool.client.metrics.abandoned, x.pool.alone.stray(ctx)
	gauge.Inc()
	go func(g prometheus.Gauge) {
		<-left
		g.Dec()
		end()
	}(gauge)
}

// beatOnce stores a heartbeat with the latest progress, pushes the progress,
// and ends the handler's context when the job was cancelled or taken over.
func (x *execution) beatOnce(ctx context.Context, cancel context.CancelCauseFunc) {
	x.mu.Lock()
	dirty, fraction, message := x.dirty, "", x.message
	if dirty {
		fraction = strconv.FormatFloat(x.fraction, 'g', 6, 64)
	}
	x.dirty = false
	x.mu.Unlock()

	callCtx, stop := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer stop()
	c := x.pool.client
	holder{x.pool}.keepFirst(callCtx)
	now := c.clock.now(callCtx)
	v, state, err := c.join(callCtx, x)
	if err == nil && v != joined {
		if state == StateCancelled {
			cancel(ErrCancelled)
		}
		cancel(errSuperseded)
		return
	}
	var b beat
	if err == nil {
		var r reply
		r, err = c.reply(callCtx, "beat", x.id, x.id, x.gen, x.run, ms(now), ms(now.Add(stallAfter)), fraction, message)
		b = parseBeat(r)
	}
	if err != nil {
		x.pool.log.WarnContext(ctx, "heartbeat failed", "id", x.id, "error", err)
		x.mu.Lock()
		x.dirty = x.dirty || dirty
		x.mu.Unlock()
		return
	}
	if b.superseded {
		cancel(errSuperseded)
		return
	}
	if b.cancelled {
		cancel(ErrCancelled)
	}
	if time.Since(x.renewed) >= beatEvery {
		x.renewed = time.Now()
		c.limits.renew(callCtx, x)
	}
	if b.dests != x.waiting {
		if rec, err := c.load(callCtx, x.id); err == nil {
			x.dests, x.waiting = c.notify.some(callCtx, x.id, rec.first, rec.dests), rec.dests
		}
	}
	if b.stalled { // the sessions were told so
		c.notify.tell(callCtx, eventStarted, x.event(StateRunning), x.dests, "")
	}
	if dirty {
		// No ID: each value is news, and the key keeps the latest only.
		c.notify.tell(callCtx, eventProgress, x.event(StateRunning), x.dests, "")
	}
}

// joinNow has the record know of the run.
func (x *execution) joinNow(ctx context.Context, cancel context.CancelCauseFunc) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer stop()
	if x.record == noRecord && x.plain == nil {
		return fmt.Errorf("%w: the task has no job of this package", ErrInvalid)
	}
	v, state, err := x.pool.client.join(ctx, x)
	switch {
	case err != nil || v == joined:
		return err
	case state == StateCancelled:
		cancel(ErrCancelled)
	}
	cancel(errSuperseded)
	return ErrFenced
}

// pacer spaces reports: the first at once, then at most one each
// progressEvery, the last one never left out.
type pacer struct {
	last    time.Time
	timer   <-chan time.Time
	pending *time.Timer
}

func (p *pacer) due(report func()) {
	if p.timer != nil {
		return
	}
	if wait := progressEvery - time.Since(p.last); wait > 0 {
		p.pending = time.NewTimer(wait)
		p.timer = p.pending.C
		return
	}
	p.fire(report)
}

func (p *pacer) fire(report func()) {
	p.timer, p.last = nil, time.Now()
	report()
}

func (p *pacer) stop() {
	if p.pending != nil {
		p.pending.Stop()
	}
}
