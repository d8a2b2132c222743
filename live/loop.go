package live

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"lastmile/push"
)

const (
	// turn bounds what the loop does before it sends a frame and looks at its
	// channels again.
	turn = 16
	// hold bounds how long a frame waits for what else is there to go into it.
	hold = time.Millisecond
)

// stall is a wait for a store that does not answer.
type stall struct {
	tries int
	until time.Time
}

const (
	stallBase = 50 * time.Millisecond
	stallMax  = 2 * time.Second
)

// loop owns the page until the connection ends.
func (c *conn) loop(ctx context.Context) *ending {
	ready := make(chan struct{})
	close(ready)
	for {
		var more <-chan struct{}
		if c.step(ctx) {
			more = ready
		}
		if c.over != nil {
			return c.over
		}
		topics := c.topicInbox
		if c.stalled() {
			topics = nil
		}
		select {
		case in := <-c.inbox:
			c.receive(in)
		case m := <-topics:
			c.applyTopic(ctx, m)
		case <-c.feed.Ready():
		case <-c.turned():
			c.pass.woken = true
		case err := <-c.wrote:
			c.written(err)
		case <-c.wake():
		case e := <-c.stopping:
			return &e
		case err := <-c.gone:
			return c.dropped(err)
		case <-more:
		}
	}
}

// dropped tells why the socket is gone. A write that ran out of time ends the
// reading too, and knows better.
func (c *conn) dropped(err error) *ending {
	if c.out.writing {
		c.written(<-c.wrote)
		if c.over != nil && c.over.reason == ReasonSlow {
			return c.over
		}
	}
	e := c.lost(err)
	return &e
}

// step does what can be done now: clicks and pushes in turns, then what is due,
// then a frame. It reports whether there is more to do at once.
func (c *conn) step(ctx context.Context) bool {
	since := time.Now()
	for range turn {
		if c.over != nil {
			return false
		}
		if !c.endStall(ctx) {
			c.pump(ctx)
			return false
		}
		busy := c.nextClick(ctx)
		if c.over == nil && !c.stalled() {
			busy = c.nextPush(ctx) || busy
		}
		if c.over != nil || c.stalled() {
			continue
		}
		c.connect(ctx)
		now := time.Now()
		frame := !busy || now.Sub(since) > hold
		c.commitDue(ctx, frame)
		busy = busy || c.rerunning() // a conflict has put pushes back in line
		if frame {
			c.pump(ctx)
			since = now
		}
		if !busy {
			if c.checkReign(ctx) {
				continue
			}
			c.checkFeed(ctx)
			c.settle(ctx)
			return false
		}
	}
	c.pump(ctx)
	return true
}

func (c *conn) stalled() bool { return c.stall.tries > 0 }

// stallFor pauses the page until the store may answer again. A page that cannot
// take the persisted fields in ends, to be mounted anew.
func (c *conn) stallFor(ctx context.Context, err error) {
	if errors.Is(err, errStateSize) { // no wait makes it fit
		c.hub.log.ErrorContext(ctx, "persisted fields of another page do not fit into this one", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
		c.end(ending{ReasonLost, websocket.StatusInternalError, "state too large"})
		return
	}
	if c.stall.tries == 0 {
		c.hub.log.WarnContext(ctx, "store failed, the page waits", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
	}
	c.stall.until = time.Now().Add(push.Backoff(c.stall.tries, stallBase, stallMax))
	c.stall.tries++
}

// endStall tries what could not be stored. It reports whether the page may go
// on.
func (c *conn) endStall(ctx context.Context) bool {
	if !c.stalled() {
		return true
	}
	if time.Now().Before(c.stall.until) {
		return false
	}
	if c.unsaved {
		return c.commit(ctx)
	}
	c.stall = stall{} // whatever it was is tried again
	return true
}

// wake returns a channel that yields when the next thing is due.
func (c *conn) wake() <-chan time.Time {
	var at time.Time
	soonest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if c.stalled() {
		soonest(c.stall.until)
	} else {
		soonest(c.commitAt)
		if c.retry != nil {
			soonest(c.retry.at)
		}
		if !c.connected {
			soonest(c.openBy)
		}
		soonest(c.acks.at)
	}
	if at.IsZero() {
		if c.timer != nil {
			c.timer.Stop()
		}
		return nil
	}
	if c.timer == nil {
		c.timer = time.NewTimer(time.Until(at))
	} else {
		c.timer.Reset(time.Until(at))
	}
	return c.timer.C
}

// checkFeed looks whether the feed has ended.
func (c *conn) checkFeed(ctx context.Context) {
	err := c.feed.Err()
	switch {
	case err == nil:
	case errors.Is(err, push.ErrCursorTooOld):
		c.hub.log.InfoContext(ctx, "pushes are gone, mounting anew", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
		if err := c.mountAnew(ctx); err != nil {
			c.end(*c.cannotOpen(ctx, err))
		}
	default:
		c.end(*c.cannotOpen(ctx, err))
	}
}

// catchingUp reports whether something of what was missed has not been applied
// yet. For one that fails nothing waits: its retries take long, and it may fail
// as it did before.
func (c *conn) catchingUp() bool {
	if c.retry != nil {
		return c.retry.unstarted
	}
	return len(c.backlog) > 0 || !c.feed.CaughtUp()
}

// connect runs OnConnect once what was missed has been applied, or is taking
// too long.
func (c *conn) connect(ctx context.Context) {
	if c.connected && !c.out.behind {
		return
	}
	behind := c.catchingUp()
	c.out.behind = c.out.behind && behind
	if c.connected || behind && time.Now().Before(c.openBy) {
		return
	}
	h := c.page.model.onConnect
	// As before a click: a conflict about the persisted fields has pushes run
	// again, but not OnConnect.
	if h != nil && len(c.uncommitted) > 0 && (!c.commit(ctx) || c.rerunning()) {
		return
	}
	c.connected = true
	c.out.greet = true
	if h != nil {
		inv := invocation{source: sourceConnect, action: "OnConnect", cause: cause{"connect", c.who.conn, strconv.FormatUint(c.fence, 10)}}
		out, err := c.page.invoke(ctx, c.who, h, c.state, inv)
		if err != nil {
			c.page.logFailure(ctx, c.who, inv, 1, err)
			c.undo(err)
			c.out.fail(frameError{Code: codeError, Text: c.hub.publicText(inv, err), Action: inv.action})
			c.out.add(effects{flashes: out.fx.flashes})
		} else {
			c.accept(out)
			c.hold(ctx, out.fx)
		}
	}
	if c.unsaved {
		c.commit(ctx)
	}
}

// accept takes a run's state for the page's.
func (c *conn) accept(out outcome) {
	c.state = out.state
	if string(out.encoded) != string(c.now.encoded) {
		c.now.encoded = out.encoded
		c.unsaved = true
	}
	// Fields that JSON leaves out may have changed all the same.
	c.out.dirty = true
}

// undo takes back what a failed action may have done to the state in place.
func (c *conn) undo(failure error) {
	state, err := c.page.restore(c.state, c.now.encoded, nil)
	if err != nil {
		c.hub.log.Error("state cannot be restored", "view", c.page.name, "error", errors.Join(err, failure))
		c.end(ending{ReasonLost, 1011, "state lost"})
		return
	}
	c.state = state
}

// hold keeps what Mount, OnConnect or a click did besides changing the state
// until the state is stored: then it happens once, whatever is run again.
func (c *conn) hold(ctx context.Context, fx effects) {
	topics := fx.topics
	fx.topics = nil
	c.held.add(fx)
	c.changeTopics(ctx, topics)
	if !c.unsaved {
		c.release(ctx)
	}
}

// release has everything happen that waited for the state to be stored.
func (c *conn) release(ctx context.Context) {
	fx := c.held
	for _, it := range c.uncommitted {
		fx.add(it.fx)
	}
	c.held = effects{}
	c.out.add(fx)
	c.publish(ctx, fx.publishes)
}

// showing reports whether something on the screen waits for the state to be
// stored.
func (c *conn) showing() bool {
	return c.held.visible() || slices.ContainsFunc(c.uncommitted, func(it *item) bool { return it.fx.visible() })
}

func (c *conn) publish(ctx context.Context, messages []topicMessage) {
	if len(messages) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
	defer cancel()
	c.hub.publish(ctx, messages)
}

// changeTopics makes subscriptions hold.
func (c *conn) changeTopics(ctx context.Context, changes map[string]bool) {
	if len(changes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
	defer cancel()
	for topic, on := range changes {
		if on == c.who.topics[topic] {
			continue
		}
		c.unsaved = true // they are part of the record
		c.scheduleCommit()
		c.who.subscribed(map[string]bool{topic: on})
		if on {
			c.followOne(ctx, topic)
		} else {
			c.hub.unfollow(c, topic)
		}
	}
}

func (c *conn) followOne(ctx context.Context, topic string) {
	if c.topicInbox == nil {
		c.topicInbox = make(chan topicMessage, topicQueue)
	}
	if err := c.hub.follow(ctx, c, topic); err != nil {
		// Delivery is at most once: the next connection tries again.
		c.hub.log.WarnContext(ctx, "subscription failed", "topic", topic, "view", c.page.name, "error", err)
	}
}

// followAll makes the subscriptions of a resumed page hold on this node, as far
// as whoever comes back may still have them.
func (c *conn) followAll(ctx context.Context) {
	if c.hub.deps.Broker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
	defer cancel()
	for topic := range c.who.topics {
		if err := c.hub.allows(c.who.Identity, topic); err != nil {
			c.hub.log.InfoContext(ctx, "subscription ended", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
			delete(c.who.topics, topic)
			c.touched()
			continue
		}
		c.followOne(ctx, topic)
	}
}

func (c *conn) unfollowAll() {
	if c.topicInbox == nil {
		return
	}
	for topic := range c.who.topics {
		c.hub.unfollow(c, topic)
	}
}
