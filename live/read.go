package live

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// reader is the connection's side that reads the socket. But for hello it runs on
// a goroutine of its own, and touches nothing that belongs to the loop.
type reader struct{ *conn }

// hello reads the browser's first message.
func (c reader) hello(ctx context.Context) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	b, err := c.socket.Read(ctx)
	if err != nil {
		return message{}, errors.New("no hello")
	}
	c.heard.Store(time.Now().UnixNano())
	return decodeMessage(b, c.hub.cfg.MaxMessageBytes)
}

// run hands the browser's messages to the loop until the socket ends. It
// answers heartbeats itself: a browser must not take a long action for a dead
// connection.
func (c reader) run(ctx context.Context) {
	flood := rate.NewLimiter(floodFactor*rate.Limit(c.hub.cfg.MessageRate), floodFactor*c.hub.cfg.MessageBurst)
	for err := error(nil); err == nil; err = c.message(ctx, flood) {
		c.socket.Await()
	}
}

// message hands one message to the loop.
func (c reader) message(ctx context.Context, flood *rate.Limiter) error {
	b, err := c.socket.Read(ctx)
	if err != nil {
		c.gone <- err
		return err
	}
	c.heard.Store(time.Now().UnixNano())
	if !flood.Allow() {
		c.stop(ending{ReasonPolicy, websocket.StatusPolicyViolation, "too many messages"})
		return nil
	}
	in := new(inbound)
	if in.message, err = decodeMessage(b, c.hub.cfg.MaxMessageBytes); err != nil {
		in.err, _ = errors.AsType[*messageError](err)
	} else if in.heartbeat() && !c.beat(ctx) {
		return nil // the next read tells why
	}
	select {
	case c.inbox <- in:
	case <-c.done:
	}
	return nil
}

// beat answers a heartbeat.
func (c reader) beat(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.hub.cfg.WriteTimeout)
	defer cancel()
	return c.socket.Answer(ctx, "{}") == nil
}
