package live

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// turns lets redelivered pushes of a process start together, or one of them
// alone: when the process ends then, that one did it. Rounds of the two kinds
// alternate while both are asked for, so that neither waits for ever.
//
// Pushes that come for the first time take no part: one that ends the process
// does so once, and nothing that is slow or stuck should hold them up.
type turns struct {
	// limit bounds a round that others wait for: an action that does not return
	// must not keep the rest from starting.
	limit time.Duration

	mu      sync.Mutex
	round   uint64 // the current one
	running int    // passes of the round that have not been given back
	alone   bool   // it is one alone
	// shared and lone wait. Of the lone those that no process has started alone
	// yet go first: an innocent one that was alone by chance when a process
	// ended is kept from what may be next to end it.
	shared  list.List
	lone    [2]list.List
	timer   *time.Timer
	overdue time.Time // when the round has reached the limit
}

// pass lets one push start. It belongs to one goroutine.
type pass struct {
	alone, again bool
	at           *list.Element // in its queue
	round        uint64        // that it is of, or 0 while it waits
	// ready is closed once the pass is valid; it is nil if it was at once.
	ready chan struct{}
	woken bool // the goroutine has heard of it
}

// ask returns a pass for one push, alone or beside others. again says that the
// push was started alone before.
func (t *turns) ask(alone, again bool) *pass {
	p := &pass{alone: alone, again: alone && again}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.running == 0, !alone && !t.alone && t.waiting() == 0:
		t.start(p)
	default:
		p.ready = make(chan struct{})
		p.at = t.queue(p).PushBack(p)
		if t.shared.Len()+t.waiting() == 1 {
			t.watch()
		}
	}
	return p
}

// started reports whether the push may start.
func (t *turns) started(p *pass) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.round != 0
}

// wait waits until the push may start, at most for a time. It reports whether
// it may; if not, the pass is given back.
func (t *turns) wait(ctx context.Context, p *pass, most time.Duration) bool {
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
	t.end(p)
	return false
}

// end gives a pass back, valid or not.
func (t *turns) end(p *pass) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case p.at != nil:
		t.queue(p).Remove(p.at)
		p.at = nil
		if !t.alone && t.waiting() == 0 { // it was what the others waited for
			t.startAll()
		}
	case p.round == t.round:
		if t.running--; t.running == 0 {
			t.next()
		}
	}
	p.round = 0
}

// The methods below are called with mu held.

func (t *turns) queue(p *pass) *list.List {
	switch {
	case !p.alone:
		return &t.shared
	case p.again:
		return &t.lone[1]
	default:
		return &t.lone[0]
	}
}

// waiting is the number of those that wait to be alone.
func (t *turns) waiting() int { return t.lone[0].Len() + t.lone[1].Len() }

// next begins a round, if anybody waits for one.
func (t *turns) next() {
	switch {
	case t.alone && t.shared.Len() > 0, t.waiting() == 0:
		t.alone = false
		t.startAll()
	case t.lone[0].Len() > 0:
		t.startFirst(&t.lone[0])
	default:
		t.startFirst(&t.lone[1])
	}
	if t.shared.Len()+t.waiting() > 0 {
		t.watch()
	}
}

func (t *turns) startAll() {
	for t.shared.Len() > 0 {
		t.startFirst(&t.shared)
	}
}

func (t *turns) startFirst(queue *list.List) {
	p, _ := queue.Remove(queue.Front()).(*pass)
	p.at = nil
	t.start(p)
	close(p.ready)
}

// start makes a pass one of the round, or of a new one.
func (t *turns) start(p *pass) {
	if t.running == 0 {
		t.round++
		t.alone = p.alone
	}
	t.running++
	p.round = t.round
}

// watch bounds the round that others wait for.
func (t *turns) watch() {
	t.overdue = time.Now().Add(t.limit)
	if t.timer == nil {
		t.timer = time.AfterFunc(t.limit, t.overrun)
	} else {
		t.timer.Reset(t.limit)
	}
}

// overrun goes on without those that have had the round for too long.
func (t *turns) overrun() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared.Len()+t.waiting() == 0 || time.Now().Before(t.overdue) {
		return
	}
	t.running = 0
	t.round++ // what they give back belongs to none
	t.next()
}
