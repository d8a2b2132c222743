package jobs

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

const (
	// sweepEvery is how often queues are looked after, just after each of Redis's
	// full seconds: Asynq's due times are full seconds.
	sweepEvery  = time.Second
	sweepBehind = 2 * time.Millisecond
	// sweepApart is the least between sweeps for each queue, sweepApartMin the
	// least of all: tasks that are due one after the other cost no more.
	sweepApart    = 50 * time.Microsecond
	sweepApartMin = 2 * time.Millisecond
	// listenProbe is how long the subscription may be silent before it is probed.
	listenProbe = 10 * time.Second
	// listenAgain is the wait after a subscription failed, deniedAgain after one
	// that the user may not make: the rule may change.
	listenAgain = time.Second
	deniedAgain = 30 * time.Second
)

// waker is how a pool learns of work without asking for it.
type waker struct {
	*tasks.Wake
	p      *Pool
	id     string
	queues []string // the lists of pending tasks
	gate   string
	swept  string
	soon   chan struct{} // something is due before the next sweep
	epoch  string        // changes when Redis has forgotten who waits
}

// newWaker returns nil when Asynq's calls are not known well enough to wait in
// them: then the pool polls.
func newWaker(p *Pool) *waker {
	if k := &p.client.known; !k.Dequeue || !k.Enqueue || !k.Forward {
		return nil
	}
	w := &waker{p: p, id: newToken() + newToken(), soon: make(chan struct{}, 1)}
	for q := range p.cfg.Queues {
		w.queues = append(w.queues, p.client.known.Names.Pending(p.client.inAsynq(q)))
	}
	slices.Sort(w.queues)
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(strings.Join(w.queues, "\n"))) // never fails
	w.gate = p.client.prefix + ":jobs:sweep:" + strconv.FormatUint(sum.Sum64(), 36)
	w.swept = p.client.prefix + ":jobs:swept:" + strconv.FormatUint(sum.Sum64(), 36)
	w.Wake = tasks.NewWake(w.queues, p.cfg.CheckInterval, p.draining)
	return w
}

// name is what the worker waits under, "" for one that polls.
func (w *waker) name() string {
	if w == nil {
		return ""
	}
	return w.id
}

// idle names those who wait for a queue, beside its list in the same slot.
func (k keys) idle(pending string) string { return k.prefix + ":jobs:idle:" + pending }

// swept is where the sweep of one queue keeps its own, likewise.
func (k keys) swept(pending string) string { return k.prefix + ":jobs:swept:" + pending }

// wakes begins the channels of workers.
func (k keys) wakes() string { return k.channel("wake") + ":" }

// blind tells wake.lua whether PUBLISH counts hearers on one server of several.
func (s *store) blind() string {
	if s.single() {
		return "0"
	}
	return "1"
}

// rouse wakes another worker for a queue that has work.
func (w *waker) rouse(ctx context.Context, pending string) {
	p := w.p
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := p.client.run(ctx, "rouse", []string{pending, p.client.idle(pending)}, p.client.wakes(), p.client.blind()).Err(); err != nil {
		p.log.DebugContext(ctx, "wake not passed on", "error", err) // the sweep finds the work
	}
}

// passOn wakes others for what this worker was woken for and has no slot for,
// until ctx ends.
func (w *waker) passOn(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case pending := <-w.Passed:
			w.rouse(ctx, pending)
		}
	}
}

// expect has the worker sweep soon if something is due before others would.
func (w *waker) expect(due time.Time) {
	if due.Sub(w.p.client.clock.last()) > sweepEvery {
		return
	}
	select {
	case w.soon <- struct{}{}:
	default:
	}
}

// tend sweeps just after each second until ctx ends. What is due before the next
// second has it sweep then.
func (w *waker) tend(ctx context.Context) {
	every := min(sweepEvery, w.p.cfg.DelayedInterval)
	apart := max(sweepApartMin, sweepApart*time.Duration(len(w.queues)))
	timer := time.NewTimer(every)
	defer timer.Stop()
	gated, last := every == sweepEvery, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.soon:
			gated = false
			timer.Reset(max(0, apart-time.Since(last)))
			continue
		case <-timer.C:
		}
		wait, due, err := w.turn(ctx, gated)
		if last = time.Now(); err != nil {
			wait, due = every, -1
			if ctx.Err() == nil {
				w.p.log.DebugContext(ctx, "queues not looked after", "error", err)
			}
		}
		wait = min(wait, every)
		gated = every == sweepEvery && (due < 0 || due >= wait)
		if due >= 0 {
			wait = min(wait, max(due+time.Millisecond, apart))
		}
		timer.Reset(wait)
	}
}

// turn sweeps, if it is this worker's turn or it does not ask. wait is how long
// it is until the next turn, due how long until the next task, or less than zero.
func (w *waker) turn(ctx context.Context, ask bool) (wait, due time.Duration, err error) {
	wait = sweepEvery
	if ask {
		first, now, err := w.pass(ctx)
		if err != nil || !first {
			return sweepEvery - now%sweepEvery + sweepBehind, -1, err
		}
		wait = sweepEvery - now%sweepEvery + sweepBehind
	}
	due, err = w.sweep(ctx)
	return wait, due, err
}

// pass asks whether nobody has swept in this second of Redis's, whose time it
// returns. When Redis was emptied it knows nobody who waits, so each worker looks.
func (w *waker) pass(ctx context.Context) (first bool, now time.Duration, err error) {
	if !w.p.client.single() { // each queue may be on another server
		var t time.Time
		t, err = w.p.client.rdb.Time(ctx).Result()
		return true, time.Duration(t.UnixMilli()) * time.Millisecond, err
	}
	v, err := w.p.client.run(ctx, "gate", []string{w.gate}, newToken()).Slice()
	r := reply(v)
	if epoch := r.str(2); err == nil && epoch != w.epoch {
		w.epoch = epoch
		w.SetAll()
	}
	return r.num(0) == 1, time.Duration(r.num(1)) * time.Millisecond, err
}

// leave takes the worker off the lists of those who wait, and wakes others for
// what it was woken for.
func (w *waker) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	pipe := w.p.client.rdb.Pipeline()
	for _, pending := range w.queues {
		pipe.ZRem(ctx, w.p.client.idle(pending), w.id)
	}
	_, _ = pipe.Exec(ctx) // who is told in vain is passed over
	for _, pending := range w.Unused() {
		w.rouse(ctx, pending)
	}
}

// ear hears what a pool is told by channels.
type ear struct{ p *Pool }

// listen hears wakes and cancellations until ctx ends. It believes nothing of the
// time before a connection: whatever was said then is lost.
func (e ear) listen(ctx context.Context) {
	defer func() {
		if w := e.p.waker; w != nil && w.Deafen(false) {
			e.p.client.metrics.polling.Dec()
		}
	}()
	for ctx.Err() == nil {
		err := e.untilBroken(ctx)
		if ctx.Err() != nil {
			return
		}
		e.deafen(ctx, err)
		if isDenied(err) {
			pause(ctx, deniedAgain)
		} else {
			pause(ctx, listenAgain)
		}
	}
}

// untilBroken hears on a connection of its own. One that is silent, and does
// not answer a PING either, is broken.
func (e ear) untilBroken(ctx context.Context) error {
	p := e.p
	channels := []string{p.client.cancel()}
	if p.waker != nil {
		channels = append(channels, p.client.wakes()+p.waker.id)
	}
	sub := p.client.rdb.Subscribe(ctx, channels...)
	closing := context.AfterFunc(ctx, func() { _ = sub.Close() }) // the end of ctx alone does not end a read
	defer func() {
		closing()
		_ = sub.Close() // it only listened
	}()
	for probed := false; ; {
		msg, err := sub.ReceiveTimeout(ctx, listenProbe)
		switch {
		case err == nil:
			probed = false
			e.hear(ctx, msg)
		case timedOut(err) && !probed && ctx.Err() == nil:
			probed = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func (e ear) hear(ctx context.Context, msg any) {
	p := e.p
	switch m := msg.(type) {
	case *redis.Subscription:
		if p.waker != nil && m.Channel != p.client.cancel() {
			if p.waker.Deafen(false) {
				p.client.metrics.polling.Dec()
				p.log.InfoContext(ctx, "worker can be woken again")
			}
			p.waker.SetAll()
		}
	case *redis.Message:
		switch {
		case m.Channel == p.client.cancel():
			p.interrupt(m.Payload)
		case m.Payload == "":
			p.waker.expect(time.Time{})
		default:
			p.client.metrics.wakes.Inc()
			p.waker.Set(m.Payload, true)
		}
	}
}

// deafen notes that wakes do not come through.
func (e ear) deafen(ctx context.Context, err error) {
	p := e.p
	if p.waker == nil {
		return
	}
	news := p.waker.Deafen(true)
	if news {
		p.client.metrics.polling.Inc()
	}
	switch {
	case isDenied(err):
		p.client.denied.warn(ctx, err)
	case news:
		p.log.InfoContext(ctx, "worker cannot be woken: it looks for jobs by itself meanwhile", "error", err)
	}
}

// asynqCancels is where Asynq's own tools ask for a task's cancellation, of all
// applications and databases of the server.
const asynqCancels = "asynq:cancel"

// hearAsynq passes on cancellations that Asynq's own tools ask for. They name a
// task by its ID alone, so only those count whose IDs were drawn at random here:
// nobody else has them.
func (e ear) hearAsynq(ctx context.Context) {
	p := e.p
	sub := p.client.rdb.Subscribe(ctx, asynqCancels)
	defer func() { _ = sub.Close() }() // it only listened
	ch := sub.Channel(redis.WithChannelHealthCheckInterval(listenProbe))
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-ch:
			if !ok {
				return
			}
			if id := tasks.JobOf(m.Payload); randomID(id) && p.runs(id) {
				p.cancelForOperator(ctx, id)
			}
		}
	}
}

func isDenied(err error) bool { return redis.HasErrorPrefix(err, "NOPERM") }

func timedOut(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
