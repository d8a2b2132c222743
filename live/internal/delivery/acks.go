package delivery

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"lastmile/push"
)

// Acks knows what the browser has shown, and what of it the session's mailbox
// has been told. A push is acknowledged when it is both stored with the state
// and shown.
type Acks struct {
	// outstanding are the frames that the browser has not confirmed.
	outstanding []sentFrame
	// shown is the last push that the browser shows, done the last one that
	// is acknowledged.
	shown, done push.Seq
	skipped     []push.Seq
	// owed is what the mount applied, acknowledged in one piece because it
	// may hold parked pushes from before the cursor.
	owed *Receipt
	at   time.Time // when to try again
	// leaving is the last push that the store has to know as done before the
	// browser goes elsewhere.
	leaving push.Seq
}

// sentFrame is a frame and the last push that is in it.
type sentFrame struct {
	seq    uint64
	cursor push.Seq
}

// Sent notes a frame.
func (a *Acks) Sent(seq uint64, cursor push.Seq) {
	a.outstanding = append(a.outstanding, sentFrame{seq, cursor})
}

// Leave asks for the pushes up to a place to be acknowledged as soon as they are
// stored and shown. The page that the browser goes to would find them pending,
// and do again what they did.
func (a *Acks) Leave(upTo push.Seq) { a.leaving = max(a.leaving, upTo) }

// mayLeave reports whether the store knows of that.
func (a *Acks) mayLeave(feed Feed) bool { return a.leaving <= a.done && a.leaving <= feed.Acked() }

// Outstanding is how many frames the browser has not confirmed.
func (a *Acks) Outstanding() int { return len(a.outstanding) }

// Confirm notes that the browser has rendered all frames up to seq.
func (a *Acks) Confirm(seq uint64) {
	n := 0
	for n < len(a.outstanding) && a.outstanding[n].seq <= seq {
		a.shown = max(a.shown, a.outstanding[n].cursor)
		n++
	}
	if a.outstanding = a.outstanding[n:]; len(a.outstanding) == 0 {
		a.outstanding = nil
	}
}

// Unchanged notes that everything up to the cursor looks the same as the last
// frame.
func (a *Acks) Unchanged(cursor push.Seq) {
	if n := len(a.outstanding); n > 0 {
		a.outstanding[n-1].cursor = max(a.outstanding[n-1].cursor, cursor)
	} else {
		a.shown = max(a.shown, cursor)
	}
}

// skip notes a push that the view has no action for.
func (a *Acks) skip(seq push.Seq) {
	list := &a.skipped
	if a.owed != nil && seq <= a.owed.UpTo {
		list = &a.owed.Skipped
	}
	if !slices.Contains(*list, seq) {
		*list = append(*list, seq)
	}
}

// settle acknowledges what is both stored, up to saved, and shown.
func (a *Acks) settle(ctx context.Context, d *Deps, k Key, feed Feed, saved push.Seq) {
	upTo := min(a.shown, saved)
	if upTo > a.done && !time.Now().Before(a.at) && a.payOwed(ctx, d, k, upTo) {
		a.acknowledge(feed, upTo)
	}
	if a.leaving <= min(a.shown, a.done) && !a.mayLeave(feed) {
		// What a former life of the page has shown goes with its first
		// acknowledgement, and there may be no other.
		a.acknowledge(feed, a.done)
		feed.Flush()
	}
}

func (a *Acks) acknowledge(feed Feed, upTo push.Seq) {
	feed.Ack(upTo, a.skipped)
	a.skipped = slices.DeleteFunc(a.skipped, func(s push.Seq) bool { return s <= upTo })
	a.done = upTo
}

// payOwed acknowledges what the mount has applied, and reports whether nothing
// is owed any more.
func (a *Acks) payOwed(ctx context.Context, d *Deps, k Key, upTo push.Seq) bool {
	a.at = time.Time{}
	o := a.owed
	if o == nil {
		return true
	}
	if upTo < o.UpTo {
		return false
	}
	err := d.Node.Ack(ctx, k.Session, push.Ack{UpTo: o.UpTo, Skipped: o.Skipped})
	if err != nil {
		d.log(ctx, slog.LevelWarn, k, "acknowledgement failed", "error", err)
		a.at = time.Now().Add(stallMax)
		return false
	}
	// The feed's first acknowledgement covers what nobody had acknowledged
	// when it subscribed, and so may cover these again: it has to name them.
	a.skipped = append(o.Skipped, a.skipped...)
	a.owed = nil // the next commit forgets it too; paying twice costs nothing
	return true
}
