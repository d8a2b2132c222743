package push

import (
	"context"
	"slices"
)

const (
	// queueLen bounds the entries that wait in one feed.
	queueLen = 64
	// refillBelow is the length at which a lagging feed reads on.
	refillBelow = queueLen / 2
	// thriftyLen is how many a lagging feed reads while the node's queues
	// hold more than NodeConfig.QueueBytes.
	thriftyLen = 8
	// ackBurst is how many acknowledgements do not wait for
	// NodeConfig.AckDelay.
	ackBurst = 128
	// keepCap is the largest queue that an emptied feed keeps for later.
	keepCap = 2
)

// Feed yields one session's pushes to one connection: in mailbox order, none
// missing, none twice. One goroutine at a time consumes it (Next, Ack,
// Unacked); Close and the others may be called from any.
//
// A consumer waits on Ready, then calls Next until that returns false:
//
//	for {
//		<-feed.Ready()
//		for {
//			entry, ok := feed.Next()
//			if !ok {
//				break
//			}
//			apply(entry)
//			feed.Ack(entry.Seq, nil)
//		}
//		if err := feed.Err(); err != nil {
//			return err
//		}
//	}
type Feed struct {
	node  *Node
	box   *mailbox
	ready chan struct{}

	// What follows is guarded by box.mu.
	queue []Entry // what Next yields
	head  int     // of queue
	// cursor is the last push queued: a hint that does not follow on it
	// makes the feed lag, and a lagging feed reads the mailbox.
	cursor Seq
	// target is the last push known to exist.
	target Seq
	// caughtTo was the mailbox's end when the feed attached.
	caughtTo Seq
	epoch    string
	err      error
	acked    Seq // acknowledged at the store
	unsure   Seq // of what others have parked up to here the feed knows nothing
	ackTo    Seq // to be acknowledged, zero before the first Ack
	gathered int // calls of Ack since the last one sent
	lost     int // acknowledgements that failed since Close
	skipped  []Seq
	unacked  []Entry

	attaching, lagging, closed bool
	// flushing says that the consumer waits for its acknowledgements to be sent.
	flushing bool
	watch    watch
}

// Ready is signalled whenever Next may yield again, and when CaughtUp or Err
// has changed, and after Flush. One signal may stand for many.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Next returns the next push, or false when there is none for now. It does
// not block. Entries whose Err is set cannot be applied: dead letters.
func (f *Feed) Next() (Entry, bool) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	if f.head == len(f.queue) {
		return Entry{}, false
	}
	e := f.queue[f.head]
	f.queue[f.head] = Entry{} // lets go of its data
	f.head++
	f.node.waiting.Add(-weight(e))
	if f.head == len(f.queue) {
		f.dropQueue()
	}
	if f.wantsRead() {
		f.node.enqueue(f.box)
	}
	return e, true
}

// CaughtUp reports whether everything that was in the mailbox when the feed
// subscribed has been yielded.
func (f *Feed) CaughtUp() bool {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	return f.caughtUp()
}

func (f *Feed) caughtUp() bool {
	return !f.attaching && f.cursor >= f.caughtTo && (f.head == len(f.queue) || f.queue[f.head].Seq > f.caughtTo)
}

// Err returns why the feed has ended, or nil. Nothing follows an error: after
// one that wraps ErrCursorTooOld (pushes are gone, or the store was emptied)
// the connection mounts anew; after ErrSessionClosed it ends.
func (f *Feed) Err() error {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	return f.err
}

// Epoch returns the store's epoch at the subscription. A cursor of another
// epoch means nothing.
func (f *Feed) Epoch() string {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	return f.epoch
}

// Redelivered reports whether the entry was in the mailbox when the feed
// subscribed, so that another process may have started it before; see
// [Node.CountStart].
func (f *Feed) Redelivered(e Entry) bool {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	return e.Seq <= f.caughtTo
}

// Unacked returns the pushes at or before the subscription's cursor that
// nobody has acknowledged: a former life of the connection went through them
// and died before its acknowledgement was sent. The first Ack covers them, so
// the caller adds those that its view has no action for to the skipped ones.
// Unless Unacked is called all of them count as skipped.
func (f *Feed) Unacked() []Entry {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	entries := f.unacked
	f.unacked = nil
	return entries
}

// Ack says that the connection has durably processed everything up to upTo but
// for skipped, which its view has no action for. It returns at once;
// acknowledgements are gathered for at most NodeConfig.AckDelay, repeated until
// the store has them, and sent even when the feed is closed meanwhile.
func (f *Feed) Ack(upTo Seq, skipped []Seq) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	if f.closed || upTo < f.ackTo {
		return
	}
	for _, seq := range skipped {
		if seq > f.acked && seq <= upTo && !slices.Contains(f.skipped, seq) {
			f.skipped = append(f.skipped, seq)
		}
	}
	f.ackTo = upTo
	if !f.ackDue() {
		return
	}
	f.node.delay(f.box)
	if f.gathered++; f.gathered >= ackBurst { // a flood must not fill its mailbox with what is done
		f.box.flush = true
		f.node.enqueue(f.box)
	}
}

// Flush sends the acknowledgements given so far without waiting for more. Ready
// is signalled once the store has them, and Acked tells.
func (f *Feed) Flush() {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	if !f.closed && f.ackDue() {
		f.flushing, f.box.flush = true, true
		f.node.enqueue(f.box)
	}
}

// Acked returns how far the store has acknowledgements: the feed's own, or up to
// its cursor those of the connection's former life.
func (f *Feed) Acked() Seq {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	return f.acked
}

// ackDue reports whether there is something to acknowledge.
func (f *Feed) ackDue() bool { return f.ackTo > f.acked }

// DeadLetter moves the entry to the dead letters. It is idempotent.
func (f *Feed) DeadLetter(ctx context.Context, e Entry, why Failure) error {
	return f.node.DeadLetter(ctx, f.box.session, e.Seq, why)
}

// Close ends the feed. Acknowledgements given before are still sent. It is
// idempotent.
func (f *Feed) Close() {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	f.dropQueue()
	f.box.feeds = slices.DeleteFunc(f.box.feeds, func(g *Feed) bool { return g == f })
	if f.ackDue() {
		f.box.closing = append(f.box.closing, f)
	}
	f.node.metrics.feeds.Dec()
	f.box.released(f.node)
	f.node.enqueue(f.box)
}

// The methods below are called with box.mu held, but for attached.

// attached puts the feed to work after its Attach.
func (f *Feed) attached(att Attachment, old unacked) {
	f.box.mu.Lock()
	defer f.box.mu.Unlock()
	f.attaching = false
	f.epoch = att.Epoch
	f.box.route = min(f.box.route, f.cursor) // attaching has lowered it
	f.caughtTo = att.Last
	f.target = max(f.target, att.Last)
	f.unacked = old.entries
	if len(old.entries) > 0 {
		f.acked, f.unsure = att.Acked, old.after
	}
	for _, e := range att.Parked {
		if e.Seq > f.cursor {
			f.push(e)
		}
	}
	f.lagging = f.target > f.cursor
	f.signal()
	if f.lagging || f.box.attach {
		f.node.enqueue(f.box)
	}
}

// live reports whether the feed takes entries.
func (f *Feed) live() bool { return !f.attaching && !f.closed && f.err == nil }

// wantsRead reports whether it is time to read the mailbox.
func (f *Feed) wantsRead() bool {
	if !f.lagging || !f.live() {
		return false
	}
	if f.node.thrifty() {
		return f.head == len(f.queue)
	}
	return len(f.queue)-f.head <= refillBelow
}

// room is how many entries the feed takes now.
func (f *Feed) room() int {
	if f.node.thrifty() {
		return thriftyLen
	}
	return queueLen - (len(f.queue) - f.head)
}

// offer handles a hint. It reports whether the mailbox has to be read.
func (f *Feed) offer(h Notice) bool {
	f.target = max(f.target, h.Seq)
	if f.lagging || !f.live() || h.Seq <= f.cursor {
		return false // the read under way goes up to target; or it is an echo
	}
	switch {
	case h.Prev > f.cursor:
		return f.lag(lagGap)
	case h.Entry == nil:
		return f.lag(lagBulky)
	case len(f.queue)-f.head >= queueLen || f.node.thrifty():
		return f.lag(lagOverflow)
	}
	f.push(*h.Entry)
	f.node.metrics.hinted.Inc()
	return false
}

// accept takes what a read from the feed's cursor returned. end says that the
// read reached the mailbox's end, as far as that was known to go: to upTo.
func (f *Feed) accept(entries []Entry, end bool, upTo Seq) {
	f.box.released(f.node)
	for _, e := range entries {
		if e.Seq <= f.cursor {
			continue
		}
		if len(f.queue)-f.head >= queueLen {
			return
		}
		f.push(e)
		f.node.metrics.read.Inc()
	}
	if !end {
		return
	}
	if f.cursor < upTo {
		f.cursor = upTo // what was there has been superseded or given up
	}
	f.lagging = f.cursor < f.target
	f.signal()
}

func (f *Feed) push(e Entry) {
	if f.head > 0 && len(f.queue) == cap(f.queue) {
		rest := copy(f.queue, f.queue[f.head:])
		clear(f.queue[rest:])
		f.queue, f.head = f.queue[:rest], 0
	}
	f.queue = append(f.queue, e)
	f.cursor = e.Seq
	f.node.waiting.Add(weight(e))
	f.signal()
}

// lag makes the feed read the mailbox.
func (f *Feed) lag(cause string) bool {
	f.lagging = true
	f.node.metrics.lagging.WithLabelValues(cause).Inc()
	return true
}

func (f *Feed) fail(err error) {
	if f.closed || f.err != nil {
		return
	}
	f.err = err
	f.dropQueue()
	f.signal()
}

func (f *Feed) dropQueue() {
	for _, e := range f.queue[f.head:] {
		f.node.waiting.Add(-weight(e))
	}
	clear(f.queue)
	f.queue, f.head = f.queue[:0], 0
	if cap(f.queue) > keepCap {
		f.queue = nil
	}
}

func (f *Feed) signal() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// weight is an entry's share of NodeConfig.QueueBytes.
func weight(e Entry) int64 { return int64(len(e.Data)) + 256 }
