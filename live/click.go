package live

import (
	"context"
	"fmt"
	"strconv"

	"github.com/coder/websocket"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

// receive takes a message off the socket. Actions wait for their turn, all else
// is dealt with at once.
func (c *conn) receive(in *inbound) {
	if in.err != nil {
		if c.repeated(in.Number) {
			return
		}
		c.refuse(frameError{Code: in.err.code, Text: in.err.text, Number: in.err.number, Action: in.err.action})
		return
	}
	if in.Ack > c.out.seq {
		c.refuse(frameError{Code: codeInvalid, Text: fmt.Sprintf("field \"k\": frame %d was not sent", in.Ack), Number: in.Number, Action: in.Action})
		return
	}
	if in.Ack > 0 {
		c.session.Acks.Confirm(in.Ack)
		c.refused.confirm(in.Ack)
	}
	if in.Snapshot != 0 && c.limiter.Allow() { // over its rate it is passed over: a browser asks again
		c.out.wantSnapshot()
	}
	if in.Action == "" {
		c.session.KeepAlive()
		return
	}
	switch {
	case c.repeated(in.Number):
	case !c.limiter.Allow():
		c.refuse(frameError{
			Code: codeRateLimited, Number: in.Number, Action: in.Action,
			Text: fmt.Sprintf("More than %g actions a second (%d at once).", c.hub.cfg.MessageRate, c.hub.cfg.MessageBurst),
		})
	case len(c.clicks) >= maxClicks:
		c.refuse(frameError{
			Code: codeRateLimited, Number: in.Number, Action: in.Action,
			Text: fmt.Sprintf("More than %d actions wait.", maxClicks),
		})
	default:
		c.clicks = append(c.clicks, in.message)
	}
}

// refuse answers a message that is not taken.
func (c *conn) refuse(e frameError) {
	c.hub.metrics.refused.WithLabelValues(string(e.Code)).Inc()
	c.tell(e)
}

// tell answers a message with an error. A browser that confirms none of them is
// cut off; it sends again what has no answer.
func (c *conn) tell(e frameError) {
	c.out.fail(e)
	if c.refused.add(e); len(c.refused) > maxRefusals {
		c.end(ending{ReasonPolicy, websocket.StatusPolicyViolation, "too many errors unconfirmed"})
	}
}

// repeated deals with a message that has been dealt with: the answer was lost,
// or it came twice. That is free of limits.
func (c *conn) repeated(number uint64) bool {
	if number == 0 {
		return false
	}
	if e := c.refused.asked(number); e != nil {
		c.out.fail(*e)
		return true
	}
	if number > c.session.Now().Client {
		return false
	}
	c.out.answered(number)
	return true
}

// nextClick runs the action of the browser's oldest message. It reports whether
// there was one.
func (c *conn) nextClick(ctx context.Context) bool {
	if len(c.clicks) == 0 || !c.connected || !c.session.MayClick() {
		return false
	}
	m := c.clicks[0]
	if c.repeated(m.Number) {
		c.dropClick()
		return true
	}
	h := c.page.model.actions[m.Action]
	if m.Action == onURL {
		return nextMove(ctx, c, m)
	}
	if h == nil || c.page.pushOnly[m.Action] {
		c.dropClick()
		c.refuse(frameError{Code: codeUnknown, Text: fmt.Sprintf("There is no action %q.", m.Action), Number: m.Number, Action: m.Action})
		return true
	}
	if !c.session.BeforeClick(ctx) {
		return true
	}
	c.dropClick()
	c.click(ctx, m, h)
	return true
}

func (c *conn) dropClick() {
	c.clicks[0] = message{}
	c.clicks = c.clicks[1:]
	if len(c.clicks) == 0 {
		c.clicks = nil
	}
}

// click runs one action of the browser and stores its result before anything is
// sent.
func (c *conn) click(ctx context.Context, m message, h handler) {
	inv := invocation{source: sourceClick, action: m.Action, data: m.Data, cause: clickCause(c.who.conn, m)}
	var wrong *UserError
	fx, err := c.session.Click(ctx, m.Number, func(ctx context.Context, state any) (delivery.Outcome, error) {
		var out outcome
		var err error
		out, wrong, err = c.page.runInput(ctx, c.who, h, state, inv)
		return inputOutcome(out, err), err
	})
	if m.Number != 0 {
		c.refused.ran(m.Number)
	}
	if err != nil {
		c.page.logFailure(ctx, c.who, inv, 1, err)
		code := codeError
		if reasonOf(err) == push.ReasonRejected {
			code = codeRejected
		}
		c.tell(frameError{Code: code, Text: c.hub.publicText(inv, err), Number: m.Number, Action: m.Action})
		c.out.add(unboxed(fx))
		return
	}
	if wrong != nil {
		c.tell(frameError{Code: codeRejected, Text: wrong.Error(), Number: m.Number, Action: m.Action})
	} else {
		c.out.answered(m.Number)
	}
	c.session.Commit(ctx)
}

// clickCause is the same for re-sent messages of one connection.
func clickCause(conn string, m message) cause {
	if m.Number == 0 {
		return cause{"click", conn, push.NewID()}
	}
	return cause{"click", conn, "n", strconv.FormatUint(m.Number, 10)}
}
