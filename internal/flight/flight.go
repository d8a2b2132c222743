// Package flight lets concurrent calls share round trips.
//
// A call that finds few others under way goes at once and alone. The rest
// queue, and whoever lands lets the first of the queue take off with all that
// wait. So nothing waits for a timer, an idle program has no batches, and they
// grow with the load.
//
// It knows neither Redis nor what a call is: its callers say how one call and
// how many go. It orders nothing, repeats nothing and keeps nothing. Packages
// push/redisstream and jobs send their scripts through it; it is for the
// packages of this module that wait for a server in many goroutines.
package flight

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrUnanswered is what a call ends with that its batch said nothing about.
var ErrUnanswered = errors.New("flight: no answer for a call of the batch")

// Config says how calls of type C go and come back with an R. One and Many are
// required, and both must be safe for concurrent use.
type Config[C, R any] struct {
	// One runs a call on its own, in its caller's goroutine and context.
	One func(ctx context.Context, c C) (R, error)
	// Many runs a batch, and tells done of each call's end: once, with the
	// index in calls. Its context ends with Timeout, and not with that of any
	// one caller, since others depend on the batch.
	Many func(ctx context.Context, calls []C, done func(i int, r R, err error))
	// Flights is how many calls or batches are under way at once. Defaults to 4.
	Flights int
	// Batch bounds the calls of a batch. Defaults to 64.
	Batch int
	// Timeout bounds a batch. Defaults to 10 seconds.
	Timeout time.Duration
}

// Group is a queue of calls. It is safe for concurrent use, starts a goroutine
// for each batch alone, and needs no closing.
//
// Invariants: calls wait only while Flights are under way, and each flight
// that lands either hands its place to a batch or leaves it free.
type Group[C, R any] struct {
	cfg Config[C, R]

	mu     sync.Mutex
	flying int
	queue  []*ticket[C, R]
}

// ticket is a call in the queue.
type ticket[C, R any] struct {
	call  C
	leads bool                 // it has been given a batch; under mu
	batch chan []*ticket[C, R] // the batch that its caller has to start
	done  chan landing[R]      // has room for one
}

type landing[R any] struct {
	reply R
	err   error
}

// New returns a Group with cfg's defaults filled.
func New[C, R any](cfg Config[C, R]) *Group[C, R] {
	for setting, standard := range map[*int]int{&cfg.Flights: 4, &cfg.Batch: 64} {
		if *setting <= 0 {
			*setting = standard
		}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Group[C, R]{cfg: cfg}
}

// Do runs a call, maybe together with those of others, and returns its own
// reply and error. When ctx ends while it waits it is taken out of the queue;
// when it is under way in a batch it may still be done.
func (g *Group[C, R]) Do(ctx context.Context, c C) (R, error) {
	g.mu.Lock()
	if g.flying < g.cfg.Flights {
		g.flying++
		g.mu.Unlock()
		defer g.land()
		return g.cfg.One(ctx, c)
	}
	t := &ticket[C, R]{call: c, batch: make(chan []*ticket[C, R], 1), done: make(chan landing[R], 1)}
	g.queue = append(g.queue, t)
	g.mu.Unlock()

	select {
	case l := <-t.done:
		return l.reply, l.err
	case batch := <-t.batch:
		return g.lead(ctx, t, batch)
	case <-ctx.Done():
	}
	if g.leave(t) { // a batch is waiting for this caller to start it
		return g.lead(ctx, t, <-t.batch)
	}
	var none R
	return none, ctx.Err()
}

// leave takes t out of the queue, and reports whether it has a batch to start.
func (g *Group[C, R]) leave(t *ticket[C, R]) (leads bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.queue, t); i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
	}
	return t.leads
}

// lead starts a batch that t is part of, and waits for t's own end.
func (g *Group[C, R]) lead(ctx context.Context, t *ticket[C, R], batch []*ticket[C, R]) (R, error) {
	go g.fly(context.WithoutCancel(ctx), batch) // outlives the patience of the caller that leads
	select {
	case l := <-t.done:
		return l.reply, l.err
	case <-ctx.Done():
		var none R
		return none, ctx.Err()
	}
}

// fly runs a batch.
func (g *Group[C, R]) fly(ctx context.Context, batch []*ticket[C, R]) {
	defer g.land()
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	calls := make([]C, len(batch))
	for i, t := range batch {
		calls[i] = t.call
	}
	tell := func(i int, l landing[R]) {
		select {
		case batch[i].done <- l:
		default: // told already
		}
	}
	g.cfg.Many(ctx, calls, func(i int, r R, err error) { tell(i, landing[R]{r, err}) })
	for i := range batch {
		tell(i, landing[R]{err: ErrUnanswered})
	}
}

// land gives the place of a flight that has ended to the queue, if anybody
// waits there.
func (g *Group[C, R]) land() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.flying--
		return
	}
	n := min(len(g.queue), g.cfg.Batch)
	batch := slices.Clone(g.queue[:n])
	g.queue = slices.Delete(g.queue, 0, n)
	batch[0].leads = true
	batch[0].batch <- batch
}
