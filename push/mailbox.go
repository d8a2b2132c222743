package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// turnLen is how many store calls a mailbox makes before others get
	// their turn: a flood to one session does not delay the rest.
	turnLen = 8
	// ackTries is how often the acknowledgement of a closed feed is repeated.
	ackTries = 10
)

// mailbox is one session's place on a node. At most one fetcher works on it at
// a time; everybody else leaves a note in its fields and enqueues it.
type mailbox struct {
	session string

	mu      sync.Mutex
	feeds   []*Feed
	closing []*Feed // closed, with an acknowledgement to send
	// routed says that the store may have a route to be removed.
	routed bool
	// attach says that the route must be made again.
	attach bool
	// flush says that the gathered acknowledgements are due.
	flush bool
	// acked is the highest acknowledgement that the store has from this node,
	// route what it was told with it of how far all feeds have come.
	acked, route Seq
	// active says that the mailbox is queued or being worked on.
	active bool
	// listed says that it is on the node's laterList.
	listed bool
	// tries counts store calls that failed in a row; until retryAt nothing is
	// tried.
	tries   int
	retryAt time.Time
}

// step is one store call; it is nil when there is nothing to do.
type step func(ctx context.Context, n *Node, box *mailbox) error

// next decides what to do. An idle mailbox is no longer active.
func (box *mailbox) next() step {
	box.mu.Lock()
	defer box.mu.Unlock()
	if box.attach && slices.ContainsFunc(box.feeds, (*Feed).live) {
		return reattach
	}
	for _, f := range box.closing {
		return func(ctx context.Context, n *Node, box *mailbox) error { return sendAck(ctx, n, box, f) }
	}
	for _, f := range box.feeds {
		if box.flush && f.ackDue() {
			return func(ctx context.Context, n *Node, box *mailbox) error { return sendAck(ctx, n, box, f) }
		}
	}
	if box.flush && len(box.feeds) > 0 && box.route < box.acked && box.slowest(box.acked) > box.route {
		return raiseRoute
	}
	box.flush = false
	for _, f := range box.feeds {
		if f.wantsRead() {
			return func(ctx context.Context, n *Node, box *mailbox) error { return fetch(ctx, n, box, f) }
		}
	}
	if len(box.feeds) == 0 && box.routed {
		return detach
	}
	box.active = false
	return nil
}

// serve makes the mailbox's store calls until none is left or its turn is over.
func (n *Node) serve(ctx context.Context, box *mailbox) {
	for range turnLen {
		do := box.next()
		if do == nil {
			if box.empty() {
				n.forget(box)
			}
			return
		}
		if err := do(ctx, n, box); err != nil {
			n.postpone(ctx, box, err)
			return
		}
		box.mu.Lock()
		box.tries = 0
		box.mu.Unlock()
	}
	n.work.push(box)
}

// postpone lets the mailbox rest after a failed call.
func (n *Node) postpone(ctx context.Context, box *mailbox, err error) {
	box.mu.Lock()
	defer box.mu.Unlock()
	box.active = false
	delay := Backoff(box.tries, n.cfg.RetryBase, n.cfg.RetryMax)
	box.tries++
	box.retryAt = time.Now().Add(delay)
	n.delay(box)
	if ctx.Err() == nil {
		n.cfg.Logger.WarnContext(ctx, "store call failed, trying again",
			"node", n.id, "session", Redact(box.session), "attempt", box.tries, "error", err)
	}
}

// empty reports whether nobody uses the mailbox.
func (box *mailbox) empty() bool {
	box.mu.Lock()
	defer box.mu.Unlock()
	return len(box.feeds) == 0 && len(box.closing) == 0 && !box.routed
}

// forget removes a mailbox, unless a feed has joined it meanwhile.
func (n *Node) forget(box *mailbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if box.empty() && n.boxes[box.session] == box {
		delete(n.boxes, box.session)
	}
}

// reattach makes the route again after hints may have been lost, and has every
// feed look for what it missed.
func reattach(ctx context.Context, n *Node, box *mailbox) error {
	box.mu.Lock()
	box.attach = false
	after, known := Seq(0), Seq(0)
	for i, f := range liveFeeds(box) {
		if i == 0 || f.cursor < after {
			after = f.cursor
		}
		known = max(known, f.cursor, f.target)
	}
	box.mu.Unlock()
	att, err := n.verify(ctx, box, after)
	if err == nil && att != nil && att.Last < known { // a failover has rewound the store: lift it above all feeds
		att, err = n.verify(ctx, box, known)
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if err != nil || att == nil {
		box.attach = true // after failing the feeds that are too old, for the rest
		return err
	}
	box.missed()
	for _, f := range box.feeds {
		f.target = max(f.target, att.Last)
		if f.live() && !f.lagging && f.target > f.cursor {
			f.lag(lagResync)
		}
	}
	return nil
}

// verify attaches at a cursor and fails the feeds that cannot go on from
// there. It returns nil when there were any for a reason other than the epoch.
func (n *Node) verify(ctx context.Context, box *mailbox, after Seq) (*Attachment, error) {
	var att Attachment
	err := n.call(ctx, "attach", func(ctx context.Context) (err error) {
		att, err = n.store.Attach(ctx, n.id, box.session, after)
		return err
	})
	if err == nil {
		n.sawEpoch(att.Epoch)
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	switch {
	case errors.Is(err, ErrCursorTooOld):
		for _, f := range liveFeeds(box) {
			if f.cursor <= after {
				f.fail(fmt.Errorf("push: feed of %s fell behind: %w", Redact(box.session), err))
			}
		}
		return nil, nil
	case errors.Is(err, ErrSessionClosed):
		for _, f := range liveFeeds(box) {
			f.fail(fmt.Errorf("push: feed of %s: %w", Redact(box.session), err))
		}
		return nil, nil
	case err != nil:
		return nil, err
	}
	box.route = min(box.route, after)
	for _, f := range liveFeeds(box) {
		if f.epoch != att.Epoch {
			f.fail(fmt.Errorf("push: feed of %s: the store's epoch has changed: %w", Redact(box.session), ErrCursorTooOld))
		}
	}
	return &att, nil
}

// fetch reads the mailbox from the feed's cursor, for it and those that stand
// at the same place.
func fetch(ctx context.Context, n *Node, box *mailbox, f *Feed) error {
	box.mu.Lock()
	after, upTo, limit := f.cursor, f.target, f.room()
	box.mu.Unlock()
	entries, err := n.read(ctx, box, after, limit)
	if err != nil {
		return err
	}
	if len(entries) < limit && reach(entries, after) < upTo {
		// The end that was heard of was superseded or given up, or else a failover
		// is under way and this was read from a server that lags behind the
		// primary. Attaching writes, so it finds the primary.
		if att, err := n.verify(ctx, box, after); err != nil || att == nil {
			return err
		}
		if entries, err = n.read(ctx, box, after, limit); err != nil {
			return err
		}
	}
	end := len(entries) < limit
	// A hole is what was superseded or given up, or else what was acknowledged
	// by others and trimmed: only the store can tell, and only after the read.
	if hole := (len(entries) == 0 && after < upTo) || (len(entries) > 0 && entries[0].Prev > after); hole {
		att, err := n.verify(ctx, box, after)
		if err != nil || att == nil {
			return err
		}
		entries = withParked(entries, att.Parked, after)
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	for _, g := range liveFeeds(box) {
		if g.lagging && g.cursor == after {
			g.accept(entries, end, upTo)
		}
	}
	return nil
}

// read is one read of the mailbox.
func (n *Node) read(ctx context.Context, box *mailbox, after Seq, limit int) (entries []Entry, err error) {
	err = n.call(ctx, "read", func(ctx context.Context) error {
		entries, err = n.store.Read(ctx, box.session, after, limit)
		return err
	})
	if err == nil {
		n.metrics.fetches.Inc()
	}
	return entries, err
}

// reach returns how far entries behind the cursor go.
func reach(entries []Entry, after Seq) Seq {
	if len(entries) == 0 {
		return after
	}
	return entries[len(entries)-1].Seq
}

// withParked puts what was parked and has left the mailbox before what is in
// it.
func withParked(entries, parked []Entry, after Seq) []Entry {
	var list []Entry
	for _, e := range parked {
		if e.Seq > after && (len(entries) == 0 || e.Seq < entries[0].Seq) {
			list = append(list, e)
		}
	}
	return append(list, entries...)
}

// sendAck sends what the feed has gathered.
func sendAck(ctx context.Context, n *Node, box *mailbox, f *Feed) error {
	box.mu.Lock()
	ack := Ack{After: max(f.acked, f.unsure), UpTo: f.ackTo, Skipped: slices.Clone(f.skipped)}
	for _, e := range f.unacked {
		ack.Skipped = append(ack.Skipped, e.Seq)
	}
	given := len(f.skipped)
	f.gathered = 0
	box.mu.Unlock()
	err := n.Ack(ctx, box.session, ack)
	box.mu.Lock()
	defer box.mu.Unlock()
	lost := err != nil && !errors.Is(err, ErrSessionClosed)
	if lost && f.closed {
		f.lost++
	}
	if lost && f.lost < ackTries {
		return err
	}
	if lost {
		n.cfg.Logger.ErrorContext(ctx, "acknowledgement given up: the pushes will be offered again",
			"node", n.id, "session", Redact(box.session), "error", err)
	}
	f.acked = ack.UpTo
	f.skipped = slices.Delete(f.skipped, 0, given)
	if len(f.skipped) == 0 {
		f.skipped = nil
	}
	f.unacked = nil
	if f.flushing && !f.ackDue() {
		f.flushing = false
		f.signal()
	}
	box.closing = slices.DeleteFunc(box.closing, func(g *Feed) bool { return g == f && !g.ackDue() })
	return nil
}

// passed returns how far all feeds have come, at most upTo.
func (box *mailbox) passed(upTo Seq) Seq {
	box.mu.Lock()
	defer box.mu.Unlock()
	return box.slowest(upTo)
}

// slowest is passed with box.mu held. What a feed has queued it needs no more.
func (box *mailbox) slowest(upTo Seq) Seq {
	for _, f := range box.feeds {
		if f.err == nil {
			upTo = min(upTo, f.cursor)
		}
	}
	return upTo
}

// acknowledged notes what the store has been told.
func (box *mailbox) acknowledged(a Ack) {
	box.mu.Lock()
	defer box.mu.Unlock()
	box.acked, box.route = max(box.acked, a.UpTo), max(box.route, a.Route)
}

// released has the route cursor raised where a slow feed has kept it down. A
// full mailbox waits for that. box.mu is held.
func (box *mailbox) released(n *Node) {
	if len(box.feeds) > 0 && box.route < box.acked {
		n.delay(box)
	}
}

// raiseRoute tells the store that the slowest feed has come further.
func raiseRoute(ctx context.Context, n *Node, box *mailbox) error {
	box.mu.Lock()
	acked := box.acked
	box.mu.Unlock()
	err := n.Ack(ctx, box.session, Ack{After: acked, UpTo: acked})
	if errors.Is(err, ErrSessionClosed) {
		return nil
	}
	return err
}

// detach removes the route of a session without feeds. A connection may have
// come back meanwhile, and its attach may have run before the detach: then the
// route is made again.
func detach(ctx context.Context, n *Node, box *mailbox) error {
	box.mu.Lock()
	box.routed = false
	box.mu.Unlock()
	err := n.call(ctx, "detach", func(ctx context.Context) error { return n.store.Detach(ctx, n.id, box.session) })
	box.mu.Lock()
	defer box.mu.Unlock()
	if len(box.feeds) > 0 {
		box.attach = true
		return nil
	}
	if err != nil && box.tries < ackTries {
		box.routed = true
		return err
	}
	return nil
}

// liveFeeds returns the feeds that take entries. box.mu is held.
func liveFeeds(box *mailbox) []*Feed {
	feeds := make([]*Feed, 0, len(box.feeds))
	for _, f := range box.feeds {
		if f.live() {
			feeds = append(feeds, f)
		}
	}
	return feeds
}
