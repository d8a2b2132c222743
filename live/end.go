package live

import (
	"context"

	"github.com/coder/websocket"

	"lastmile/push"
)

// finish ends the connection: stores what is not stored, tells the controller,
// and lets go of everything.
func (c *conn) finish(ctx context.Context, e ending) {
	if c.timer != nil {
		c.timer.Stop()
	}
	if s := c.session; s != nil {
		c.over = nil
		s.GiveBack(ctx, e.reason == ReasonTaken)
		if e.reason != ReasonTaken && e.reason != ReasonSessionClosed {
			s.StoreLast(ctx, e.reason != ReasonClosed)
		}
		if e.reason == ReasonShutdown {
			c.sayLast(ctx)
		}
		s.Settle(ctx)
		if c.connected {
			c.disconnect(ctx, e.reason)
		}
		c.topics.unfollowAll()
		s.Close()
	}
	c.hub.release(c, c.topicName())
	c.hub.metrics.ended.WithLabelValues(string(e.reason)).Inc()
	c.hub.log.DebugContext(ctx, "connection ended", "session", push.Redact(c.who.Session), "view", c.page.name, "reason", string(e.reason))
	close(c.done)
	switch e.code {
	case websocket.StatusAbnormalClosure, closeSlow:
		c.socket.Cut() // nothing more gets through
	default:
		c.socket.Close(e.code, e.text)
	}
}

// sayLast sends what has happened and waits for the browser to take the frame
// before: it comes back with a new connection, which knows nothing of it.
func (c *conn) sayLast(ctx context.Context) {
	c.awaitWritten()
	c.out.hurry()
	c.pump(ctx)
	c.awaitWritten()
}

// disconnect runs OnDisconnect.
func (c *conn) disconnect(ctx context.Context, reason Reason) {
	f := c.page.model.onDisconnect
	if f == nil {
		return
	}
	who := *c.who
	who.reason = reason
	inv := invocation{source: sourceLeave, action: "OnDisconnect", cause: cause{"disconnect", who.conn, push.NewID()}}
	h := func(state any, ctx *Context) (any, error) {
		f(state, ctx)
		return state, nil
	}
	out, err := c.page.invoke(ctx, &who, h, c.session.State(), inv)
	if err != nil {
		c.page.logFailure(ctx, &who, inv, 1, err)
		return
	}
	c.topics.publish(ctx, out.fx.publishes)
}
