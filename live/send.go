package live

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/coder/websocket"

	"lastmile/live/internal/wire"
)

// pump sends what there is to say if the last frame has left. While a browser
// is slow, pushes change the state and no frame is made; the next one holds
// them all. The first one names the page's record, so it waits until that is
// made: nobody else can have taken the record over before.
func (c *conn) pump(ctx context.Context) {
	// A frame has room for one error, and an answer waits for those before it.
	for c.sendFrame(ctx) && (len(c.out.errs) > 0 || c.out.reply > c.out.replied) {
	}
}

// pumpLeave sends the browser on if it waits for nothing but what was settled.
func (c *conn) pumpLeave(ctx context.Context) {
	if c.out.navigate != nil && c.session.MayLeave() {
		c.pump(ctx)
	}
}

// sendFrame reports whether it has sent a frame and may send another.
func (c *conn) sendFrame(ctx context.Context) bool {
	o := &c.out
	if o.Busy() || !o.greet || c.over != nil || !c.session.Presentable() || c.session.Acks.Outstanding() >= maxOutstanding {
		return false
	}
	f := o.Pool.Get()
	b, kind, err := c.compose(f.Start())
	if err != nil {
		c.hub.log.ErrorContext(ctx, "frame cannot be made", "view", c.page.name, "error", err)
		c.end(ending{ReasonLost, websocket.StatusInternalError, "frame cannot be made"})
		return false
	}
	if b == nil {
		o.Pool.Put(f)
		return false
	}
	f.End(b)
	c.hub.metrics.frames.WithLabelValues(kind).Inc()
	c.hub.metrics.frameBytes.Observe(float64(f.Size()))
	o.flying, o.oldest = o.oldest, time.Time{}
	if err := o.Send(f); err != nil || !o.Busy() {
		c.written(err)
	}
	return !o.Busy()
}

// written notes that a frame has left, or could not. A browser that takes
// nothing off the wire for too long is cut off: what it missed is in the
// mailbox.
func (c *conn) written(err error) {
	switch {
	case errors.Is(err, wire.ErrSlow):
		c.end(ending{ReasonSlow, closeSlow, "slow client"})
	case err != nil:
		c.end(ending{ReasonLost, websocket.StatusAbnormalClosure, ""})
	default:
		if stored := c.out.left(); !stored.IsZero() {
			c.hub.metrics.pushLatency.Observe(time.Since(stored).Seconds())
		}
	}
}

// awaitWritten waits for the frame that is on its way.
func (c *conn) awaitWritten() {
	if c.out.Busy() {
		<-c.out.Left()
		c.written(c.out.Result())
	}
}

// compose makes the next frame, or nil when there is nothing to say.
func (c *conn) compose(dst []byte) ([]byte, string, error) {
	o := &c.out
	f := frame{Seq: o.seq + 1}
	c.announce(&f)
	render := (o.snapshot || o.dirty) && !o.behind
	if render {
		c.describe(&f)
	}
	leave := o.navigate == nil || c.session.MayLeave() || o.overdue()
	if leave { // what was said belongs to the page that the browser goes to
		f.Flashes, f.Navigate = o.flashes, o.navigate
	}
	if !o.behind {
		f.Events = o.events // their listeners look at the screen
		if o.patch != nil {
			f.Events = append(slices.Clip(f.Events), o.patch.event())
		}
	}
	replied := c.answer(&f)
	b, err := appendHead(dst, &f)
	if err != nil {
		return nil, "", err
	}
	kind := "other"
	if render {
		b, kind = c.render(b)
	}
	if kind == "other" && f.bare() {
		if len(o.errs) > 0 {
			return c.compose(dst) // the template's error has come up
		}
		if !o.behind {
			c.session.Acks.Unchanged(c.session.Now().Cursor)
			o.oldest = time.Time{}
		}
		return nil, "", nil
	}
	o.seq++
	o.greeted, o.replied, o.seen = true, replied, max(o.seen, replied, f.Seen)
	if leave {
		o.flashes, o.navigate = nil, nil
	}
	if !o.behind {
		o.events, o.patch = nil, nil
	}
	if f.Title != nil {
		o.title = *f.Title
	}
	if f.Error != nil {
		c.refused.told(f.Error.Number, o.seq)
		o.errs = o.errs[1:]
	}
	cursor := c.session.Now().Cursor
	if o.behind {
		cursor = 0 // it shows no push
	}
	c.session.Acks.Sent(o.seq, cursor)
	return append(b, '}'), kind, nil
}

// describe fills in what goes with a change of the screen: the title, and the
// manifest that it needs.
func (c *conn) describe(f *frame) {
	o := &c.out
	if c.page.title != nil || !o.described {
		if t := c.page.documentTitle(c.session.State()); t != o.title {
			f.Title = &t
		}
	}
	if o.manifest != c.page.set.Fingerprint() {
		f.Manifest, o.manifest = c.page.set.Fingerprint(), c.page.set.Fingerprint()
	}
	o.described = true
}

// announce fills in what only the first frame has.
func (c *conn) announce(f *frame) {
	o := &c.out
	if o.greeted {
		return
	}
	f.Version = wireVersion
	if !o.hasToken {
		f.Token = c.hub.connToken(c.who.conn, c.who.Identity, c.page.name)
	}
	if o.remounted {
		f.Remounted = 1
	}
	o.reply = max(o.reply, c.session.Saved().Client)
}

// answer adds the oldest error, and the reply to messages, to the frame. A
// message that failed must not be taken for answered before its error is there;
// the state in the frame may have seen more than is answered.
func (c *conn) answer(f *frame) (replied uint64) {
	o := &c.out
	if len(o.errs) > 0 {
		f.Error = &o.errs[0]
	}
	replied = max(o.replied, min(o.reply, c.refused.answerable()))
	if replied > o.replied {
		f.Reply = replied
	}
	if seen := c.session.Now().Client; seen > max(replied, o.seen) {
		f.Seen = seen
	}
	return replied
}

// render adds a snapshot or a patch to the frame. A template that fails leaves
// the browser's page as it is.
func (c *conn) render(b []byte) ([]byte, string) {
	o := &c.out
	head := b
	snapshot := o.snapshot || o.whole
	o.dirty, o.snapshot, o.whole = false, false, false
	var changed bool
	var err error
	if snapshot {
		b, err = c.tree.Snapshot(append(b, `,"r":`...), c.session.State())
		changed = true
	} else {
		b, changed, err = c.tree.Patch(append(b, `,"p":`...), c.session.State())
	}
	switch {
	case err != nil:
		c.hub.metrics.renderErrs.Inc()
		c.hub.log.Error("template failed", "view", c.page.name, "error", err)
		text := "The page could not be updated."
		if c.hub.cfg.Dev {
			text += " " + err.Error()
		}
		o.fail(frameError{Code: codeError, Text: text})
		o.whole = snapshot
		return head, "other"
	case !changed:
		return head, "other"
	case snapshot:
		return b, "snapshot"
	default:
		return b, "patch"
	}
}
