package delivery

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Gate lets redelivered pushes of a process start together, or one of them
// isolated: when the process ends then, that one did it. Rounds of shared and
// of exclusive starts alternate while both are asked for, so that neither waits
// for ever.
//
// Pushes that come for the first time take no part: one that ends the process
// does so once, and nothing that is slow or stuck should hold them up. It is
// safe for concurrent use.
type Gate struct {
	// limit bounds a round that others wait for: an action that does not return
	// must not keep the rest from starting.
	limit time.Duration

	mu        sync.Mutex
	round     uint64 // the current one
	running   int    // passes of the round that have not been given back
	exclusive bool   // it is one isolated start
	// shared and isolated wait. Of the isolated those that no process has started
	// isolated yet go first: an innocent one that was isolated by chance when a
	// process ended is kept from what may be next to end it.
	shared   list.List
	isolated [2]list.List
	timer    *time.Timer
	overdue  time.Time // when the round has reached the limit
}

// Pass lets one push start. It belongs to one goroutine.
type Pass struct {
	isolated, before bool
	at               *list.Element // in its queue
	round            uint64        // that it is of, or 0 while it waits
	// ready is closed once the pass is valid; it is nil if it was at once.
	ready chan struct{}
	heard bool // the goroutine has been told
}

// NewGate returns a Gate. limit bounds a round that others wait for: an action
// that does not return must not keep the rest from starting.
func NewGate(limit time.Duration) *Gate { return &Gate{limit: limit} }

// ask returns a pass for one push, isolated or beside others. before says that
// the push was started isolated before.
func (g *Gate) ask(isolated, before bool) *Pass {
	p := &Pass{isolated: isolated, before: isolated && before}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.running == 0, !isolated && !g.exclusive && g.waiting() == 0:
		g.start(p)
	default:
		p.ready = make(chan struct{})
		p.at = g.queue(p).PushBack(p)
		if g.shared.Len()+g.waiting() == 1 {
			g.watch()
		}
	}
	return p
}

// started reports whether the push may start.
func (g *Gate) started(p *Pass) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return p.round != 0
}

// wait waits until the push may start, at most for a time. It reports whether
// it may; if not, the pass is given back.
func (g *Gate) wait(ctx context.Context, p *Pass, most time.Duration) bool {
	if p.ready == nil {
		return true
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-p.ready:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	g.end(p)
	return false
}

// end gives a pass back, valid or not.
func (g *Gate) end(p *Pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case p.at != nil:
		g.queue(p).Remove(p.at)
		p.at = nil
		if !g.exclusive && g.waiting() == 0 { // it was what the others waited for
			g.startAll()
		}
	case p.round == g.round:
		if g.running--; g.running == 0 {
			g.next()
		}
	}
	p.round = 0
}

// The methods below are called with mu held.

func (g *Gate) queue(p *Pass) *list.List {
	switch {
	case !p.isolated:
		return &g.shared
	case p.before:
		return &g.isolated[1]
	default:
		return &g.isolated[0]
	}
}

// waiting is the number of exclusive starts that wait.
func (g *Gate) waiting() int { return g.isolated[0].Len() + g.isolated[1].Len() }

// next begins a round, if anybody waits for one.
func (g *Gate) next() {
	switch {
	case g.exclusive && g.shared.Len() > 0, g.waiting() == 0:
		g.exclusive = false
		g.startAll()
	case g.isolated[0].Len() > 0:
		g.startFirst(&g.isolated[0])
	default:
		g.startFirst(&g.isolated[1])
	}
	if g.shared.Len()+g.waiting() > 0 {
		g.watch()
	}
}

func (g *Gate) startAll() {
	for g.shared.Len() > 0 {
		g.startFirst(&g.shared)
	}
}

func (g *Gate) startFirst(queue *list.List) {
	p, _ := queue.Remove(queue.Front()).(*Pass)
	p.at = nil
	g.start(p)
	close(p.ready)
}

// start makes a pass one of the round, or of a new one.
func (g *Gate) start(p *Pass) {
	if g.running == 0 {
		g.round++
		g.exclusive = p.isolated
	}
	g.running++
	p.round = g.round
}

// watch bounds the round that others wait for.
func (g *Gate) watch() {
	g.overdue = time.Now().Add(g.limit)
	if g.timer == nil {
		g.timer = time.AfterFunc(g.limit, g.overrun)
	} else {
		g.timer.Reset(g.limit)
	}
}

// overrun goes on without those that have had the round for too long.
func (g *Gate) overrun() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared.Len()+g.waiting() == 0 || time.Now().Before(g.overdue) {
		return
	}
	g.running = 0
	g.round++ // what they give back belongs to none
	g.next()
}
