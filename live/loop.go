package live

import (
	"context"
	"errors"
	"strconv"
	"time"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

const (
	// turn bounds what the loop does before it sends a frame and looks at its
	// channels again.
	turn = 16
	// hold bounds how long a frame waits for what else is there to go into it.
	hold = time.Millisecond
)

// loop owns the page until the connection ends.
func (c *conn) loop(ctx context.Context) *ending {
	ready := make(chan struct{})
	close(ready)
	for {
		var more <-chan struct{}
		c.asking.again(ctx, c)
		if c.step(ctx) {
			more = ready
		}
		if c.over != nil {
			return c.over
		}
		topics := c.topics.inbox
		if c.session.Stalled() {
			topics = nil
		}
		select {
		case in := <-c.inbox:
			c.receive(in)
		case m := <-topics:
			c.session.Topic(ctx, push.Entry{Message: push.Message{Action: m.Action, Data: m.Data, ID: push.NewID()}})
		case <-c.session.Ready():
		case <-c.session.Turned():
			c.session.Heard()
		case <-c.out.Left():
			c.written(c.out.Result())
		case <-c.wake():
		case e := <-c.stopping:
			return &e
		case err := <-c.gone:
			return dropped(c, err)
		case <-more:
		}
	}
}

// dropped tells why the socket is gone. A write that ran out of time ends the
// reading too, and knows better.
func dropped(c *conn, err error) *ending {
	if c.out.Busy() {
		c.awaitWritten()
		if c.over != nil && c.over.reason == ReasonSlow {
			return c.over
		}
	}
	e := lost(err)
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
		if !c.session.Resume(ctx) {
			c.pump(ctx)
			return false
		}
		busy := c.nextClick(ctx)
		if c.over == nil && !c.session.Stalled() {
			busy = c.session.Next(ctx) || busy
		}
		if c.over != nil || c.session.Stalled() {
			continue
		}
		c.connect(ctx)
		now := time.Now()
		frame := !busy || now.Sub(since) > hold
		c.session.CommitDue(ctx, frame)
		busy = busy || c.session.Rerunning() // a conflict has put pushes back in line
		if frame {
			c.pump(ctx)
			since = now
		}
		if !busy {
			if c.session.CheckTerm(ctx) {
				continue
			}
			if c.checkFeed(ctx); c.over == nil {
				c.session.Settle(ctx)
				c.pumpLeave(ctx)
			}
			return false
		}
	}
	c.pump(ctx)
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
	c.session.Due(soonest)
	c.out.due(soonest)
	soonest(c.asking.at)
	if !c.connected && !c.session.Stalled() {
		soonest(c.openBy)
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
	err := c.session.Err()
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

// connect runs OnConnect once what was missed has been applied, or is taking
// too long.
func (c *conn) connect(ctx context.Context) {
	if c.connected && !c.out.behind {
		return
	}
	behind := c.session.CatchingUp()
	if !behind {
		c.out.caughtUp()
	}
	if c.connected || behind && time.Now().Before(c.openBy) {
		return
	}
	h := c.page.model.onConnect
	// As before a click: a conflict about the persisted fields has pushes run
	// again, but not OnConnect.
	if h != nil && !c.session.BeforeConnect(ctx) {
		return
	}
	c.connected = true
	c.out.greetNow()
	if h != nil {
		c.runOnConnect(ctx, h)
	}
	c.session.CommitOwn(ctx)
}

func (c *conn) runOnConnect(ctx context.Context, h handler) {
	inv := invocation{source: sourceConnect, action: "OnConnect", cause: cause{"connect", c.who.conn, strconv.FormatUint(c.session.Fence(), 10)}}
	fx, err := c.session.Own(ctx, func(ctx context.Context, state any) (delivery.Outcome, error) {
		out, err := program{c.page, c.who}.call(ctx, state, h, inv)
		if err != nil {
			c.page.logFailure(ctx, c.who, inv, 1, err)
		}
		return out, err
	})
	if err != nil {
		c.out.fail(frameError{Code: codeError, Text: c.hub.publicText(inv, err), Action: inv.action})
		c.out.add(unboxed(fx))
	}
}
