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
	// leaving says that the browser is on its way to another page: what it has
	// shown must not be shown there again.
	leaving bool
}

// sentFrame is a frame and the last push that is in it.
type sentFrame struct {
	seq    uint64
	cursor push.Seq
	leaves bool
}

// Sent notes a frame. leaves says that it sends the browser elsewhere.
func (a *Acks) Sent(seq uint64, cursor push.Seq, leaves bool) {
	a.outstanding = append(a.outstanding, sentFrame{seq, cursor, leaves})
}

// Outstanding is how many frames the browser has not confirmed.
func (a *Acks) Outstanding() int { return len(a.outstanding) }

// Confirm notes that the browser has rendered all frames up to seq.
func (a *Acks) Confirm(seq uint64) {
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
	if upTo <= a.done || (!a.at.IsZero() && time.Now().Before(a.at)) {
		return
	}
	a.at = time.Time{}
	if o := a.owed; o != nil {
		if upTo < o.UpTo {
			return
		}
		err := d.Node.Ack(ctx, k.Session, push.Ack{UpTo: o.UpTo, Skipped: o.Skipped})
		if err != nil {
			d.log(ctx, slog.LevelWarn, k, "acknowledgement failed", "error", err)
			a.at = time.Now().Add(stallMax)
			return
		}
		// The feed's first acknowledgement covers what nobody had acknowledged
		// when it subscribed, and so may cover these again: it has to name them.
		a.skipped = append(o.Skipped, a.skipped...)
		a.owed = nil // the next commit forgets it too; paying twice costs nothing
	}
	feed.Ack(upTo, a.skipped)
	a.skipped = slices.DeleteFunc(a.skipped, func(s push.Seq) bool { return s <= upTo })
	a.done = upTo
	if a.leaving {
		a.leaving = false
		feed.Flush()
	}
}
