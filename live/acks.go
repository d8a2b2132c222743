package live

import (
	"context"
	"slices"
	"time"

	"lastmile/push"
)

// acknowledger knows what the browser has shown, and what of it the session's
// mailbox has been told. A push is acknowledged when it is both stored with the
// state and shown.
type acknowledger struct {
	// outstanding are the frames that the browser has not confirmed.
	outstanding []sentFrame
	// shown is the last push that the browser shows, done the last one that
	// is acknowledged.
	shown, done push.Seq
	skipped     []push.Seq
	// owed is what the mount applied, acknowledged in one piece because it
	// may hold parked pushes from before the cursor.
	owed *receipt
	at   time.Time // when to try again
	// leaving says that the browser is on its way to another page: what it has
	// shown must not be shown there again.
	leaving bool
}

// sentFrame is a frame and the last push that is in it.
type sentFrame struct {
	seq    uint64
	cursor push.Seq
	leaves bool // it sends the browser elsewhere
}

// maxOutstanding bounds the frames that a browser may leave unconfirmed before
// it gets no more.
const maxOutstanding = 128

// sent notes a frame.
func (a *acknowledger) sent(f sentFrame) { a.outstanding = append(a.outstanding, f) }

// confirm notes that the browser has rendered all frames up to seq.
func (a *acknowledger) confirm(seq uint64) {
	n := 0
	for n < len(a.outstanding) && a.outstanding[n].seq <= seq {
		a.shown = max(a.shown, a.outstanding[n].cursor)
		a.leaving = a.leaving || a.outstanding[n].leaves
		n++
	}
	if a.outstanding = a.outstanding[n:]; len(a.outstanding) == 0 {
		a.outstanding = nil
	}
}

// unchanged notes that everything up to the cursor looks the same as the last
// frame.
func (a *acknowledger) unchanged(cursor push.Seq) {
	if n := len(a.outstanding); n > 0 {
		a.outstanding[n-1].cursor = max(a.outstanding[n-1].cursor, cursor)
	} else {
		a.shown = max(a.shown, cursor)
	}
}

// skip notes a push that the view has no action for.
func (a *acknowledger) skip(seq push.Seq) {
	list := &a.skipped
	if a.owed != nil && seq <= a.owed.UpTo {
		list = &a.owed.Skipped
	}
	if !slices.Contains(*list, seq) {
		*list = append(*list, seq)
	}
}

// settle acknowledges what is both stored and shown.
func (c *conn) settle(ctx context.Context) {
	a := &c.acks
	upTo := min(a.shown, c.saved.cursor)
	if upTo <= a.done || c.feed == nil || (!a.at.IsZero() && time.Now().Before(a.at)) {
		return
	}
	a.at = time.Time{}
	if o := a.owed; o != nil {
		if upTo < o.UpTo {
			return
		}
		err := c.hub.deps.Node.Ack(ctx, c.who.Session, push.Ack{UpTo: o.UpTo, Skipped: o.Skipped})
		if err != nil {
			c.hub.log.WarnContext(ctx, "acknowledgement failed", "session", push.Redact(c.who.Session), "error", err)
			a.at = time.Now().Add(stallMax)
			return
		}
		// The feed's first acknowledgement covers what nobody had acknowledged
		// when it subscribed, and so may cover these again: it has to name them.
		a.skipped = append(o.Skipped, a.skipped...)
		a.owed = nil // the next commit forgets it too; paying twice costs nothing
	}
	c.feed.Ack(upTo, a.skipped)
	a.skipped = slices.DeleteFunc(a.skipped, func(s push.Seq) bool { return s <= upTo })
	a.done = upTo
	if a.leaving {
		a.leaving = false
		c.feed.Flush()
	}
}
