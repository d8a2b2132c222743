package push

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// sweepPage is how many sessions one Check covers.
const sweepPage = 256

// Run listens, fetches, acknowledges and sweeps until ctx ends; then it sends
// the acknowledgements and detaches that are under way, for at most
// NodeConfig.DrainTimeout, and returns nil. It returns an error when the
// transport has failed for good, or when the node is running already. Close
// the feeds first: Run leaves the routes of open ones to the transport.
func (n *Node) Run(ctx context.Context) error {
	if !n.running.CompareAndSwap(false, true) {
		return errors.New("push: node is running already")
	}
	defer n.running.Store(false)
	n.heard.Store(false)
	n.contact.Store(time.Now().UnixNano())
	n.failing.Store(0)

	callsCtx, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCalls()
	stop := make(chan struct{})
	var fetchers, others sync.WaitGroup
	for range n.cfg.Fetchers {
		fetchers.Go(func() { n.fetcher(callsCtx, stop) })
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	others.Go(func() { n.tick(ctx) })
	others.Go(func() { n.sweep(ctx) })
	if s, ok := n.store.(Replication); ok {
		others.Go(func() { n.watch(ctx, s) })
	}

	err := n.store.Listen(ctx, n.id, listener{n})
	if err == nil && ctx.Err() == nil {
		err = errors.New("the transport stopped listening")
	}
	cancel()
	others.Wait()
	timer := time.AfterFunc(n.cfg.DrainTimeout, cancelCalls)
	defer timer.Stop()
	n.wakeAll(true)
	close(stop)
	fetchers.Wait()
	if err != nil {
		return fmt.Errorf("push: listen: %w", err)
	}
	return nil
}

// fetcher serves mailboxes. After stop it empties the queue and returns.
func (n *Node) fetcher(ctx context.Context, stop <-chan struct{}) {
	for {
		if box := n.work.pop(); box != nil {
			n.serve(ctx, box)
			continue
		}
		select {
		case <-n.work.wake:
		case <-stop:
			if box := n.work.pop(); box != nil {
				n.serve(ctx, box)
				continue
			}
			return
		}
	}
}

// tick serves the mailboxes that wait for the end of AckDelay or of a backoff.
// It sleeps while there are none.
func (n *Node) tick(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.later.wake:
		}
		if !wait(ctx, n.cfg.AckDelay) {
			return
		}
		n.wakeAll(false)
	}
}

// wakeAll enqueues the mailboxes whose time has come, or all of them.
func (n *Node) wakeAll(now bool) {
	for _, box := range n.later.take() {
		box.mu.Lock()
		box.listed = false
		if now || !time.Now().Before(box.retryAt) {
			box.retryAt = time.Time{}
			box.flush = true
			n.enqueue(box)
		} else {
			n.delay(box)
		}
		box.mu.Unlock()
	}
}

// sweep checks every session now and then for hints that never came.
func (n *Node) sweep(ctx context.Context) {
	for {
		every := n.cfg.SweepEvery
		if !wait(ctx, every-every/5+rand.N(2*every/5+1)) { //nolint:gosec // spread needs no secrecy
			return
		}
		sessions := n.sessions()
		for more := true; more; more = len(sessions) > 0 {
			page := sessions[:min(sweepPage, len(sessions))]
			if !n.check(ctx, page) {
				break // the next sweep tries again
			}
			sessions = sessions[len(page):]
		}
	}
}

// check asks for the sessions' states. No sessions are asked for too: that
// keeps an idle node in contact with the store.
func (n *Node) check(ctx context.Context, sessions []string) bool {
	var states []Status
	err := n.call(ctx, "check", func(ctx context.Context) (err error) {
		states, err = n.store.Check(ctx, n.id, sessions)
		return err
	})
	if err != nil && ctx.Err() == nil {
		n.cfg.Logger.WarnContext(ctx, "sweep failed", "node", n.id, "error", err)
	}
	for _, s := range states {
		n.checked(s)
	}
	return err == nil
}

// sessions returns those with feeds.
func (n *Node) sessions() []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	sessions := make([]string, 0, len(n.boxes))
	for session, box := range n.boxes {
		box.mu.Lock()
		if len(box.feeds) > 0 {
			sessions = append(sessions, session)
		}
		box.mu.Unlock()
	}
	return sessions
}

// checked has the session's feeds look for what they have not heard of.
func (n *Node) checked(s Status) {
	box := n.box(s.Session)
	if box == nil {
		return
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if s.Rerouted {
		n.metrics.rerouted.Inc()
		box.route = 0 // the new route does not know how far the feeds have come
		box.missed()
		box.released(n)
	}
	for _, f := range box.feeds {
		if f.live() && s.Epoch != f.epoch {
			box.attach = true // attaching tells for sure, and fails the feed
		}
		f.target = max(f.target, s.Last)
		if f.live() && !f.lagging && f.target > f.cursor {
			f.lag(lagSweep)
		}
	}
	n.enqueue(box)
}

// box returns the session's mailbox, or nil.
func (n *Node) box(session string) *mailbox {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.boxes[session]
}

// thrifty reports whether the queues hold as much as they may.
func (n *Node) thrifty() bool { return n.waiting.Load() > n.cfg.QueueBytes }

// enqueue has a fetcher serve the mailbox. box.mu is held.
func (n *Node) enqueue(box *mailbox) {
	if !box.active && box.retryAt.IsZero() {
		box.active = true
		n.work.push(box)
	}
}

// delay has the mailbox enqueued within AckDelay, or after its backoff. box.mu
// is held.
func (n *Node) delay(box *mailbox) {
	if !box.listed {
		box.listed = true
		n.later.add(box)
	}
}

// offer hands a hint to the feeds of its session.
func (n *Node) offer(h Notice) {
	box := n.box(h.Session)
	if box == nil {
		return // detached a moment ago
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	read := false
	for _, f := range box.feeds {
		if h.View != "" {
			f.stored(h)
			continue
		}
		read = f.offer(h) || read
	}
	if read {
		n.enqueue(box)
	}
}

// listener turns hints into entries in queues, or into work for fetchers. It
// never waits.
type listener struct{ node *Node }

func (l listener) Notify(hints []Notice) {
	l.node.contact.Store(time.Now().UnixNano())
	for _, h := range hints {
		l.node.offer(h)
	}
	// Those that have just been woken come first: they run here and now, and not
	// when another processor has woken up for them or the next read waits.
	runtime.Gosched()
}

func (l listener) Resync() {
	l.node.heard.Store(true)
	l.node.contact.Store(time.Now().UnixNano())
	l.node.metrics.resyncs.Inc()
	l.node.reattachAll()
}

// reattachAll has every session attached and read again.
func (n *Node) reattachAll() {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, box := range n.boxes {
		box.mu.Lock()
		if len(box.feeds) > 0 {
			box.attach = true
			n.enqueue(box)
		}
		box.mu.Unlock()
	}
}
