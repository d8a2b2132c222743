package live

import (
	"slices"
	"time"

	"lastmile/live/internal/wire"
)

// output is what waits to be sent, and what has been. Others than compose change
// it by its methods.
type output struct {
	*wire.Writer

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
	seq      uint64
	reply    uint64 // highest message that is answered
	replied  uint64
	seen     uint64 // the last message that the browser knows to be in the state
	title    string // as the browser shows it
	flashes  []Flash
	events   []event
	errs     []frameError
	navigate *navigate
	patch    *patch
	// leaveBy is when navigate goes out though the store has not confirmed that
	// the pushes that the browser shows are acknowledged.
	leaveBy time.Time
	// oldest is when the oldest push that has not been sent was stored, flying
	// the one that is being written.
	oldest, flying time.Time
}

// maxOutstanding bounds the frames that a browser may leave unconfirmed before
// it gets no more.
const maxOutstanding = 128

// maxQueued bounds flashes, events and errors about no message that wait, each.
const maxQueued = 64

// leavePatience bounds how long a navigation waits for the store.
const leavePatience = 5 * time.Second

// greetNow has the first frame sent.
func (o *output) greetNow() { o.greet = true }

// changed says that the state may look different.
func (o *output) changed() { o.dirty = true }

// wantSnapshot has the browser sent the whole page.
func (o *output) wantSnapshot() { o.snapshot = true }

// answered notes that all messages up to a number are dealt with.
func (o *output) answered(number uint64) { o.reply = max(o.reply, number) }

// resumes notes what a browser has that comes back: the manifest, and perhaps a
// token that names its connection for long enough. It is sent the whole page,
// unless it shows that.
func (o *output) resumes(manifest string, hasToken bool) {
	o.manifest, o.hasToken, o.snapshot = manifest, hasToken, true
}

// shows notes that the browser shows the resumed state already, under a title.
func (o *output) shows(title string) { o.snapshot, o.title = false, title }

// holdScreen has no frame change the screen until caughtUp, if the browser may
// show more than the state that it is to be sent.
func (o *output) holdScreen(maybe bool) { o.behind = maybe && o.snapshot }

// caughtUp says that the state has caught up with the screen.
func (o *output) caughtUp() { o.behind = false }

// left notes that the frame on its way has left. It returns when the oldest push
// in it was stored, zero for none.
func (o *output) left() (stored time.Time) {
	stored, o.flying = o.flying, time.Time{}
	return stored
}

// restart prepares for the frames of a page mounted anew, the first of which is
// the whole page. Numbers go on counting.
func (o *output) restart() {
	*o = output{
		Writer: o.Writer, seq: o.seq, manifest: o.manifest, title: o.title,
		flashes: o.flashes, events: o.events, navigate: o.navigate, errs: o.errs,
		dirty: true, behind: o.seq > 0, snapshot: true, remounted: true,
	}
}

func (o *output) add(fx effects) {
	o.flashes = bounded(append(o.flashes, fx.flashes...))
	o.events = bounded(append(o.events, fx.events...))
	if fx.patch != nil {
		o.patch = o.patch.then(*fx.patch)
	}
	if fx.navigate != nil {
		o.navigate, o.leaveBy = fx.navigate, time.Now().Add(leavePatience)
	}
}

// overdue says that a navigation has waited long enough.
func (o *output) overdue() bool { return !time.Now().Before(o.leaveBy) }

// hurry has a navigation wait no longer.
func (o *output) hurry() { o.leaveBy = time.Time{} }

// due calls soonest with the time at which a navigation is overdue.
func (o *output) due(soonest func(time.Time)) {
	if o.navigate != nil && !o.overdue() {
		soonest(o.leaveBy)
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
