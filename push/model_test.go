package push_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// TestProtocolModel runs random histories of one session on two nodes:
// publishing, mounting, applying, committing, acknowledging, giving up, bent
// hints, crashed nodes, dropped connections, minutes that pass. The checker
// knows what each connection must have applied: every push of its view's
// actions after its mount, once, in order, or else it was given up or superseded.
// And nothing may be owed to nobody: what no connection has durably applied
// waits for the next mount. The flags of rapid make it longer: -rapid.checks=N.
func TestProtocolModel(t *testing.T) {
	t.Parallel()
	model(t, 200, func(t *testing.T) push.Transport {
		t.Helper()
		store, err := mempush.New(mempush.Config{MailboxLen: 100})
		if err != nil {
			t.Fatal(err)
		}
		return store
	})
}

// TestProtocolModelRedis runs shorter histories through Redis's scripts.
func TestProtocolModelRedis(t *testing.T) {
	t.Parallel()
	model(t, 40, func(t *testing.T) push.Transport {
		t.Helper()
		store, err := redisstream.New(pushtest.NewRedis(t).Client(t), redisstream.Config{
			MailboxLen: 100, Partitions: 1, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return store
	})
}

// model checks histories of up to most steps.
func model(t *testing.T, most int, open func(t *testing.T) push.Transport) {
	t.Helper()
	step := rapid.Custom(func(t *rapid.T) op {
		return op{
			kind: rapid.SampledFrom(opKinds).Draw(t, "kind"),
			who:  rapid.IntRange(0, 5).Draw(t, "who"),
			arg:  rapid.IntRange(0, 5).Draw(t, "arg"),
		}
	})
	histories, steps := 0, 0
	defer func() { t.Logf("report: %d histories, %d steps", histories, steps) }()
	rapid.Check(t, func(rt *rapid.T) {
		history := rapid.SliceOfN(step, 20, most).Draw(rt, "history")
		histories, steps = histories+1, steps+len(history)
		var err error
		synctest.Test(t, func(t *testing.T) { err = play(t, open(t), history) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

type op struct {
	kind     string
	who, arg int
}

// opKinds, the frequent ones more than once.
var opKinds = []string{
	"publish", "publish", "publish", "publish", "publish", "step", "step", "step", "commit", "commit", "ack", "ack",
	"sync", "sync", "mount", "lost mount", "crash", "drop", "leave", "bend", "pass", "pass", "give up",
}

// world is the model's state and the system under test.
type world struct {
	t      *testing.T
	store  push.Transport
	nodes  []*simNode
	tabs   []*tab
	pushes []push.Entry
	given  map[push.Seq]bool
	// durable says that some connection has committed the push's effect.
	durable map[push.Seq]bool
	// covered says that an acknowledgement has claimed it as applied.
	covered map[push.Seq]bool
	// remounted says that a tab had to be given up for a fresh one.
	remounted bool
}

// simNode is a node and its own view of the store.
type simNode struct {
	*push.Node
	store  *faulty
	cancel context.CancelFunc
	done   chan error
}

// tab is a connection: what it has applied, and what of it would survive.
type tab struct {
	view    int // 0 has action A, 1 has B, 2 has both
	node    int
	feed    *push.Feed
	mounted push.Seq

	cursor, committed push.Seq
	applied, kept     []push.Seq
	skipped, keptSkip []push.Seq
}

func (c *tab) has(action string) bool { return c.view == 2 || (action == "B") == (c.view == 1) }

func play(t *testing.T, store push.Transport, history []op) (err error) {
	t.Helper()
	w := &world{t: t, store: store, given: map[push.Seq]bool{}, durable: map[push.Seq]bool{}, covered: map[push.Seq]bool{}}
	w.nodes = []*simNode{w.start(), w.start()}
	defer func() {
		for _, n := range w.nodes {
			n.cancel()
			err = errors.Join(err, <-n.done)
		}
	}()
	for i, o := range history {
		if err := w.do(o); err != nil {
			return fmt.Errorf("step %d, %+v: %w", i, o, err)
		}
		synctest.Wait()
	}
	return w.settle()
}

func (w *world) start() *simNode {
	f := bend(w.store)
	n, err := push.NewNode(f, push.NodeConfig{Logger: slog.New(slog.DiscardHandler), Fetchers: 2, DrainTimeout: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	s := &simNode{Node: n, store: f, cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- n.Run(ctx) }()
	return s
}

func (w *world) do(o op) error {
	if len(w.tabs) == 0 && o.kind != "publish" {
		o.kind = "mount"
	}
	var c *tab
	if len(w.tabs) > 0 {
		c = w.tabs[o.who%len(w.tabs)]
	}
	switch o.kind {
	case "publish":
		return w.publish(o)
	case "mount":
		if len(w.tabs) < 6 {
			return w.mount(o.arg%3, o.who%2)
		}
	case "lost mount": // the page never arrives: nothing may be lost by it
		_, err := w.nodes[o.who%2].Pending(w.t.Context(), "s", 0)
		return err
	case "step":
		return w.step(c, o.arg*3+1, false)
	case "give up":
		return w.step(c, 1, true)
	case "commit":
		c.commit(w)
	case "ack":
		c.ack()
	case "sync": // an undisturbed tab
		if err := w.step(c, 100, false); err != nil || !slices.Contains(w.tabs, c) {
			return err
		}
		c.commit(w)
		c.ack()
		time.Sleep(time.Second)
	case "crash":
		return w.crash(o.who % 2)
	case "drop":
		c.feed.Close()
		return w.resume(c, o.arg%2)
	case "leave":
		c.feed.Close()
		w.tabs = slices.DeleteFunc(w.tabs, func(d *tab) bool { return d == c })
	case "bend":
		w.bend(o)
	case "pass":
		time.Sleep([]time.Duration{time.Millisecond, 110 * time.Millisecond, time.Second, 10 * time.Second, 40 * time.Second, 3 * time.Minute}[o.arg])
	}
	return nil
}

func (w *world) publish(o op) error {
	for i := range o.arg + 1 {
		m := push.Message{ID: strconv.Itoa(len(w.pushes)), Session: "s", Action: []string{"A", "B"}[(o.who+i)%2], Data: json.RawMessage(`{}`)}
		if o.who > 3 {
			m.Replaces = m.Action
		}
		r, err := w.store.Append(w.t.Context(), m)
		if errors.Is(err, push.ErrMailboxFull) {
			return nil
		}
		if err != nil || r.Duplicate {
			return fmt.Errorf("append: %+v, %w", r, err)
		}
		w.pushes = append(w.pushes, push.Entry{Message: m, Seq: r.Seq})
	}
	return nil
}

func (w *world) bend(o op) {
	var bend func([]push.Notice) []push.Notice
	switch o.arg {
	case 0:
		bend = deaf
	case 1:
		bend = func(h []push.Notice) []push.Notice { return slices.Concat(h, h) }
	case 2:
		bend = func(h []push.Notice) []push.Notice { slices.Reverse(h); return h }
	case 3:
		bend = func(h []push.Notice) []push.Notice { return h[:len(h)/2] }
	}
	f := w.nodes[o.who%2].store
	f.set(func() { f.hints = bend })
}

// mount applies what waits, commits and acknowledges it, and goes live.
func (w *world) mount(view, node int) error {
	c := &tab{view: view, node: node}
	b, err := w.nodes[node].Pending(w.t.Context(), "s", 0)
	if err != nil {
		return err
	}
	var skipped []push.Seq
	for i, e := range b.Entries {
		if i > 0 && e.Seq <= b.Entries[i-1].Seq {
			return fmt.Errorf("pending pushes out of order: %s after %s", e.Seq, b.Entries[i-1].Seq)
		}
		if c.has(e.Action) {
			c.applied = append(c.applied, e.Seq)
		} else {
			skipped = append(skipped, e.Seq)
		}
	}
	c.mounted, c.cursor = b.Cursor, b.Cursor
	c.commit(w)
	if err := w.nodes[node].Ack(w.t.Context(), "s", push.Ack{UpTo: b.Cursor, Skipped: skipped}); err != nil {
		return err
	}
	w.cover(push.Ack{UpTo: b.Cursor, Skipped: skipped}, b.Entries)
	w.tabs = append(w.tabs, c)
	return w.subscribe(c, node)
}

func (c *tab) commit(w *world) {
	c.committed, c.kept, c.keptSkip = c.cursor, slices.Clone(c.applied), append(c.keptSkip, c.skipped...)
	c.skipped = nil
	for _, seq := range c.applied {
		w.durable[seq] = true
	}
}

// ack acknowledges what is committed.
func (c *tab) ack() {
	c.feed.Ack(c.committed, c.keptSkip)
	c.keptSkip = nil
}

func (w *world) subscribe(c *tab, node int) error {
	feed, err := w.nodes[node].Subscribe(w.t.Context(), "s", c.committed)
	if errors.Is(err, push.ErrCursorTooOld) {
		return w.remount(c)
	}
	if err != nil {
		return err
	}
	c.feed, c.node = feed, node
	for _, e := range feed.Unacked() {
		if !c.has(e.Action) {
			c.keptSkip = append(c.keptSkip, e.Seq)
		}
	}
	return nil
}

// resume goes on from the last commit.
func (w *world) resume(c *tab, node int) error {
	c.cursor, c.applied, c.skipped, c.keptSkip = c.committed, slices.Clone(c.kept), nil, nil
	return w.subscribe(c, node)
}

// remount gives the connection up for a fresh one of the same view.
func (w *world) remount(c *tab) error {
	w.remounted = true
	w.tabs = slices.DeleteFunc(w.tabs, func(d *tab) bool { return d == c })
	return w.mount(c.view, c.node)
}

// crash ends a node between any two store calls, and starts another one.
func (w *world) crash(node int) error {
	n := w.nodes[node]
	gone := errors.New("the process is dead")
	n.store.set(func() {
		n.store.hints = deaf
		for _, call := range []string{"attach", "detach", "read", "ack", "check"} {
			n.store.fail[call] = gone
		}
	})
	n.cancel()
	if err := <-n.done; err != nil {
		return err
	}
	w.coverSent(n)
	w.nodes[node] = w.start()
	synctest.Wait()
	for _, c := range slices.Clone(w.tabs) {
		if c.node == node {
			if err := w.resume(c, len(w.tabs)%2); err != nil {
				return err
			}
		}
	}
	return nil
}

// step applies up to max pushes, or gives the first one up.
func (w *world) step(c *tab, most int, giveUp bool) error {
	for range most {
		e, ok := c.feed.Next()
		if !ok {
			break
		}
		if e.Seq <= c.cursor {
			return fmt.Errorf("push %s (%s) after %s: twice or out of order", e.ID, e.Seq, c.cursor)
		}
		c.cursor = e.Seq
		switch {
		case giveUp:
			if err := c.feed.DeadLetter(w.t.Context(), e, push.Failure{Reason: push.ReasonError}); err != nil {
				return err
			}
			w.given[e.Seq] = true
		case c.has(e.Action):
			c.applied = append(c.applied, e.Seq)
		default:
			c.skipped = append(c.skipped, e.Seq)
		}
	}
	if err := c.feed.Err(); err != nil {
		if !errors.Is(err, push.ErrCursorTooOld) {
			return err
		}
		c.feed.Close()
		return w.remount(c)
	}
	return nil
}
