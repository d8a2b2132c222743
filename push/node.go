package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NodeConfig tunes a Node. The zero value is ready for production.
type NodeConfig struct {
	// Fetchers bounds the store calls (reads, attaches, acknowledgements)
	// that run at a time. Defaults to 16.
	Fetchers int
	// QueueBytes bounds the data that waits in all feeds together; beyond it
	// pushes stay in the mailbox until their feed asks for them. Defaults to
	// 64 MiB.
	QueueBytes int64
	// SweepEvery is how often every session is checked for hints that were
	// lost, give or take a fifth. Defaults to 30 seconds.
	SweepEvery time.Duration
	// AckDelay is how long a feed's acknowledgements are gathered. Defaults
	// to 100 milliseconds.
	AckDelay time.Duration
	// CallTimeout bounds one store call. Defaults to 5 seconds.
	CallTimeout time.Duration
	// RetryBase and RetryMax shape the backoff after a store call failed.
	// They default to 50 milliseconds and 5 seconds.
	RetryBase, RetryMax time.Duration
	// StaleAfter is how long store calls may keep failing before Healthy
	// says so. Defaults to 10 seconds.
	StaleAfter time.Duration
	// DrainTimeout bounds what Run still sends (acknowledgements, detaches)
	// after its context has ended. Defaults to 5 seconds.
	DrainTimeout time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the metrics. Defaults to none.
	Registerer prometheus.Registerer
}

func (c *NodeConfig) fill() error {
	for _, d := range []time.Duration{c.SweepEvery, c.AckDelay, c.CallTimeout, c.RetryBase, c.RetryMax, c.StaleAfter, c.DrainTimeout} {
		if d < 0 {
			return errors.New("push: NodeConfig: no duration may be negative")
		}
	}
	if c.Fetchers < 0 || c.QueueBytes < 0 {
		return errors.New("push: NodeConfig: Fetchers and QueueBytes must not be negative")
	}
	c.Fetchers = cmp.Or(c.Fetchers, 16)
	c.QueueBytes = cmp.Or(c.QueueBytes, 64<<20)
	c.SweepEvery = cmp.Or(c.SweepEvery, 30*time.Second)
	c.AckDelay = cmp.Or(c.AckDelay, 100*time.Millisecond)
	c.CallTimeout = cmp.Or(c.CallTimeout, 5*time.Second)
	c.RetryBase = cmp.Or(c.RetryBase, 50*time.Millisecond)
	c.RetryMax = cmp.Or(c.RetryMax, 5*time.Second)
	c.StaleAfter = cmp.Or(c.StaleAfter, 10*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 5*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return nil
}

// Node brings the pushes of many sessions to the connections of one process.
// It listens for hints, and where one is missing or late it reads the mailbox.
// All methods are safe for concurrent use.
type Node struct {
	store   NodeStore
	cfg     NodeConfig
	metrics nodeMetrics
	id      string

	running atomic.Bool
	heard   atomic.Bool  // the transport has registered the node
	contact atomic.Int64 // unix nanoseconds of the last store call that worked
	failing atomic.Int64 // of the first one that failed since, or zero
	waiting atomic.Int64 // bytes in all queues

	replicated atomic.Bool   // see Replicated
	term       atomic.Uint64 // see Term

	mu    sync.RWMutex // taken before a mailbox's
	boxes map[string]*mailbox
	epoch string

	work  workQueue
	later laterList
}

// NewNode checks cfg and fills its defaults. The node has a new random ID; it
// delivers nothing until Run is called.
func NewNode(s NodeStore, cfg NodeConfig) (*Node, error) {
	if s == nil {
		return nil, errors.New("push: NewNode: no NodeStore")
	}
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	metrics, err := newNodeMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("push: register metrics: %w", err)
	}
	n := &Node{store: s, cfg: cfg, metrics: metrics, id: NewID(), boxes: make(map[string]*mailbox)}
	n.work.wake = make(chan struct{}, 1)
	n.later.wake = make(chan struct{}, 1)
	return n, nil
}

// ID returns the node's ID, new at each start.
func (n *Node) ID() string { return n.id }

// Epoch returns the store's epoch as last seen, or nothing before the first
// call that told it.
func (n *Node) Epoch() string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.epoch
}

// Healthy returns nil while Run is at work, the node is registered for hints,
// and the store answers.
func (n *Node) Healthy() error {
	if !n.running.Load() {
		return errors.New("push: node is not running")
	}
	if !n.heard.Load() {
		return errors.New("push: node is not listening yet")
	}
	if since := n.failing.Load(); since != 0 {
		if d := time.Since(time.Unix(0, since)); d > n.cfg.StaleAfter {
			return fmt.Errorf("push: store calls have been failing for %s", d.Round(time.Second))
		}
	}
	if d := time.Since(time.Unix(0, n.contact.Load())); d > 3*n.cfg.SweepEvery {
		return fmt.Errorf("push: no contact with the store for %s", d.Round(time.Second))
	}
	return nil
}

// Subscribe opens a feed of the session's pushes after the cursor: first what
// is in the mailbox, then what arrives. It attaches the session in the
// caller's context; everything later happens inside Run.
//
// The error wraps ErrCursorTooOld when pushes after the cursor are gone, and
// ErrSessionClosed for a closed session.
func (n *Node) Subscribe(ctx context.Context, session string, after Seq) (*Feed, error) {
	f := &Feed{node: n, ready: make(chan struct{}, 1), cursor: after, acked: after, attaching: true, lagging: true}
	// Registered before the store knows: a push stored right after the attach
	// finds the feed, and raises its target even while the attach is under way.
	n.join(session, f)
	att, old, err := n.attachFeed(ctx, session, after)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("push: subscribe to %s: %w", Redact(session), err)
	}
	n.sawEpoch(att.Epoch)
	f.attached(att, old)
	return f, nil
}

// unacked is what a former life of a connection has applied without
// acknowledging it.
type unacked struct {
	entries []Entry
	// after is where the acknowledgement of them may begin. Whatever was trimmed
	// while they were read lies before it.
	after Seq
}

// attachFeed attaches, and reads what nobody has acknowledged up to the cursor.
func (n *Node) attachFeed(ctx context.Context, session string, after Seq) (att Attachment, old unacked, err error) {
	err = n.call(ctx, "attach", func(ctx context.Context) error {
		att, err = n.store.Attach(ctx, n.id, session, after)
		return err
	})
	old.after = att.Acked
	for from := att.Acked; err == nil && from < after; {
		var page []Entry
		err = n.call(ctx, "read", func(ctx context.Context) error {
			page, err = n.store.Read(ctx, session, from, queueLen)
			return err
		})
		// Another connection may acknowledge meanwhile: then what is missing
		// before a page may be parked, and was not seen here. It may have been
		// superseded as well, but saying too little does no harm.
		switch {
		case len(page) == 0:
			old.after = after
		case page[0].Prev > from:
			old.after = min(after, page[0].Seq-1)
		}
		for _, e := range page {
			if e.Seq <= after {
				old.entries = append(old.entries, e)
			}
			from = e.Seq
		}
		if len(page) < queueLen {
			break
		}
	}
	return att, old, err
}

// join registers the feed under its session.
func (n *Node) join(session string, f *Feed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	box := n.boxes[session]
	if box == nil {
		box = &mailbox{session: session}
		n.boxes[session] = box
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	f.box = box
	box.feeds = append(box.feeds, f)
	box.routed = true
	n.metrics.feeds.Inc()
}

// Pending returns what a fresh mount of a page has to apply, and the cursor to
// subscribe from afterwards. See Mailbox.Pending.
func (n *Node) Pending(ctx context.Context, session string, after Seq) (b Backlog, err error) {
	err = n.call(ctx, "pending", func(ctx context.Context) error {
		b, err = n.store.Pending(ctx, session, after)
		return err
	})
	if err != nil {
		return Backlog{}, fmt.Errorf("push: pending pushes of %s: %w", Redact(session), err)
	}
	n.sawEpoch(b.Epoch)
	return b, nil
}

// Ack acknowledges at once, for a mount without a feed. a.Node and a.Route
// are set by it. See Mailbox.Ack.
func (n *Node) Ack(ctx context.Context, session string, a Ack) error {
	a.Node = n.id
	a.Route = a.UpTo
	box := n.box(session)
	if box != nil {
		a.Route = box.passed(a.UpTo)
	}
	err := n.call(ctx, "ack", func(ctx context.Context) error { return n.store.Ack(ctx, session, a) })
	if err != nil {
		return fmt.Errorf("push: acknowledge %s of %s: %w", a.UpTo, Redact(session), err)
	}
	n.metrics.acks.Inc()
	if box != nil {
		box.acknowledged(a)
	}
	return nil
}

// DeadLetter moves an entry to the dead letters. f.Node is set by it. It is
// idempotent. See Mailbox.DeadLetter.
func (n *Node) DeadLetter(ctx context.Context, session string, seq Seq, f Failure) error {
	f.Node = n.id
	f.Error = cutError(f.Error)
	err := n.call(ctx, "dead letter", func(ctx context.Context) error { return n.store.DeadLetter(ctx, session, seq, f) })
	if err != nil {
		return fmt.Errorf("push: dead letter %s of %s: %w", seq, Redact(session), err)
	}
	n.metrics.dead.WithLabelValues(string(f.Reason)).Inc()
	return nil
}

func (n *Node) sawEpoch(epoch string) {
	if n.Epoch() == epoch {
		return
	}
	n.mu.Lock()
	changed := n.epoch != "" && epoch != n.epoch
	n.epoch = epoch
	n.mu.Unlock()
	if changed {
		n.cfg.Logger.Warn("the store has a new epoch: sessions mount anew", "node", n.id)
		n.reattachAll()
	}
}

// call runs one store call, and keeps the books of health.
func (n *Node) call(ctx context.Context, op string, fn func(context.Context) error) error {
	err := n.timed(ctx, fn)
	switch {
	case err == nil, errors.Is(err, ErrCursorTooOld), errors.Is(err, ErrSessionClosed):
		n.contact.Store(time.Now().UnixNano())
		n.failing.Store(0)
	case ctx.Err() == nil: // not the caller's doing
		n.failing.CompareAndSwap(0, time.Now().UnixNano())
		n.metrics.failures.WithLabelValues(op).Inc()
	}
	return err
}

// timed runs one store call with its timeout.
func (n *Node) timed(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.CallTimeout)
	defer cancel()
	return fn(ctx)
}

// cutError bounds an error text, at a character's edge.
func cutError(s string) string {
	const limit = 1 << 10
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut]
}
