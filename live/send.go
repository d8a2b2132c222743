package live

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// output is what waits to be sent.
type output struct {
	greet     bool // the first frame is due
	greeted   bool
	described bool // the title and the manifest have been told
	remounted bool
	// manifest is the one that the browser has.
	manifest string
	hasToken bool // the browser's token names this connection, for long enough
	snapshot bool // the browser needs the whole page
	whole    bool // the next render is a snapshot, whatever made it due
	dirty    bool // the state may look different
	// behind says that the browser may show more than the state has caught up
	// with: no frame changes the screen until it has.
	behind   bool
	writing  bool
	seq      uint64
	reply    uint64 // highest message that is answered
	replied  uint64
	seen     uint64 // the last message that the browser knows to be in the state
	title    string // as the browser shows it
	flashes  []Flash
	events   []event
	errs     []frameError
	navigate *navigate
	// oldest is when the oldest push that has not been sent was stored, flying
	// the one that is being written.
	oldest, flying time.Time
}

// maxOutstanding bounds the frames that a browser may leave unconfirmed before
// it gets no more.
const maxOutstanding = 128

// maxQueued bounds flashes, events and errors about no message that wait, each.
const maxQueued = 64

// restart prepares for the frames of a page mounted anew. Numbers go on
// counting.
func (o *output) restart() {
	*o = output{
		seq: o.seq, writing: o.writing, manifest: o.manifest, title: o.title,
		flashes: o.flashes, events: o.events, navigate: o.navigate, errs: o.errs,
		dirty: true, behind: o.seq > 0,
	}
}

func (o *output) add(fx effects) {
	o.flashes = bounded(append(o.flashes, fx.flashes...))
	o.events = bounded(append(o.events, fx.events...))
	if fx.navigate != nil {
		o.navigate = fx.navigate
	}
}

// fail has the page told of an error. Those about messages are all told: what
// bounds them is maxRefusals.
func (o *output) fail(e frameError) {
	o.errs = append(o.errs, e)
	if len(o.errs) <= maxQueued {
		return
	}
	if i := slices.IndexFunc(o.errs, func(e frameError) bool { return e.Number == 0 }); i >= 0 {
		o.errs = slices.Delete(o.errs, i, i+1)
	}
}

func bounded[T any](list []T) []T { return list[max(0, len(list)-maxQueued):] }

// older notes when a push that goes into the next frame was stored.
func (o *output) older(t time.Time) {
	if o.oldest.IsZero() {
		o.oldest = t
	}
}

// buffers are shared: an idle connection holds none.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, frameRoom, frameCap)
	return &p
}

const (
	// frameCap is what a new buffer takes.
	frameCap = 1 << 10
	// maxPooled keeps a rare large page from staying in the pool.
	maxPooled = 256 << 10
)

func (b *buffers) put(p *[]byte) {
	if cap(*p) <= maxPooled {
		*p = (*p)[:frameRoom]
		b.pool.Put(p)
	}
}

// pump sends what there is to say if the last frame has left. While a browser
// is slow, pushes change the state and no frame is made; the next one holds
// them all. The first one names the page's record, so it waits until that is
// made: nobody else can have taken the record over before.
func (c *conn) pump(ctx context.Context) {
	// A frame has room for one error, and an answer waits for those before it.
	for c.sendFrame(ctx) && (len(c.out.errs) > 0 || c.out.reply > c.out.replied) {
	}
}

// sendFrame reports whether it has sent a frame and may send another.
func (c *conn) sendFrame(ctx context.Context) bool {
	o := &c.out
	if o.writing || !o.greet || c.over != nil || !c.session.Presentable() || c.session.Acks.Outstanding() >= maxOutstanding {
		return false
	}
	buf := c.hub.buffers.get()
	b, kind, err := c.compose((*buf)[:frameRoom])
	if err != nil {
		c.hub.log.ErrorContext(ctx, "frame cannot be made", "view", c.page.name, "error", err)
		c.end(ending{ReasonLost, websocket.StatusInternalError, "frame cannot be made"})
		return false
	}
	if b == nil {
		c.hub.buffers.put(buf)
		return false
	}
	*buf = b
	size := len(b) - frameRoom
	o.flying, o.oldest = o.oldest, time.Time{}
	c.transmit(buf)
	c.hub.metrics.frames.WithLabelValues(kind).Inc()
	c.hub.metrics.frameBytes.Observe(float64(size))
	return !o.writing
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
	f.Flashes, f.Navigate = o.flashes, o.navigate
	if !o.behind {
		f.Events = o.events // their listeners look at the screen
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
	o.flashes, o.navigate = nil, nil
	if !o.behind {
		o.events = nil
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
	c.session.Acks.Sent(o.seq, cursor, f.Navigate != nil)
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
		f.Token = c.hub.connToken(c.who.conn, c.who.Session, c.page.name)
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
