package live

import (
	"context"
	"errors"
	"slices"

	"lastmile/push"
)

// heir is what a page does about a store that a replica has taken over: the
// replica may lack the latest pushes, and the latest of what the page has
// stored.
type heir struct {
	reign uint64 // push.Node.Term, as far as the page has dealt with it
	// back says that the persisted fields fell back to the push from: what
	// came after it has to be read again before anything else is applied.
	back bool
	from push.Seq
	// own is the last push that the page's own fields hold although it may
	// come again, at the last one that came again: while it is before own, the
	// persisted fields are behind the page.
	own, at push.Seq
}

// behind reports whether the persisted fields have to catch up with the page's
// own ones before anything else may change them.
func (h *heir) behind() bool { return h.back || h.at < h.own }

// place is what the persisted fields stand at when the page stands at the
// cursor.
func (h *heir) place(cursor push.Seq) push.Seq {
	if h.at < h.own {
		return h.at
	}
	return cursor
}

// passed notes a push that is dealt with.
func (h *heir) passed(seq push.Seq) { h.at = max(h.at, min(seq, h.own)) }

// undone notes that what is in line is to run again. Topic messages have no
// place.
func (h *heir) undone(line []*item) {
	i := slices.IndexFunc(line, func(it *item) bool { return !it.topic })
	if i >= 0 && line[i].entry.Seq <= h.at {
		h.at = line[i].entry.Seq - 1
	}
}

// adopted notes when the record that a page takes over is older than the one
// that it had.
func (h *heir) adopted(c *conn, v viewState) {
	if v.cursor < c.view.cursor && c.hub.deps.Node.Replicated() {
		h.back, h.from = true, v.cursor
	}
}

// checkReign stores the page anew once another server has taken over, and looks
// what became of the persisted fields. It reports whether there is more to do.
func (c *conn) checkReign(ctx context.Context) bool {
	reign := c.hub.deps.Node.Term()
	if reign == c.heir.reign || c.retry != nil || len(c.backlog) > 0 || c.stalled() {
		return false
	}
	c.unsaved = true
	if !c.commit(ctx) || c.rerunning() {
		return true
	}
	if err := c.refresh(ctx, true); err != nil {
		c.stallFor(ctx, err)
		return true
	}
	c.heir.reign = reign
	return true
}

// readBack reads the pushes again from where the persisted fields stand, or the
// page itself if it has not come that far. Those that the page's own fields hold
// change the persisted ones alone. What waits in line comes again too, as far as
// the store has it. It reports false when the page has to wait.
func (c *conn) readBack(ctx context.Context) bool {
	if c.mountEnd > c.now.cursor { // still on its way through what a mount found
		c.heir.back = false
		return true
	}
	store, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
	defer cancel()
	from := min(c.heir.from, c.now.cursor)
	feed, err := c.hub.deps.Node.Subscribe(store, c.who.Session, from)
	switch {
	case errors.Is(err, push.ErrCursorTooOld): // too late: they are gone
		c.heir.back = false
		return true
	case err != nil:
		c.stallFor(ctx, err)
		return false
	}
	feed.Unacked() // what was skipped is skipped again
	c.feed.Close()
	c.giveTurn()
	c.feed, c.backlog, c.retry = feed, nil, nil
	c.heir.back, c.heir.own, c.heir.at = false, c.now.cursor, from
	return true
}

// lookAgain reads the persisted fields anew before a push is judged that the
// page has applied already: that it comes again means that the store has fallen
// back, and what it holds need not be what the page last saw. It reports false
// when the push has to wait; it is back in line then.
func (c *conn) lookAgain(ctx context.Context, it *item) bool {
	if len(c.page.model.shared) == 0 {
		return true
	}
	c.retry = nil
	c.backlog = append([]*item{it}, c.backlog...)
	if c.unsaved && (!c.commit(ctx) || c.rerunning()) {
		return false
	}
	if err := c.refresh(ctx, true); err != nil {
		c.stallFor(ctx, err)
		return false
	}
	it.looked = true
	return false
}

// sharedOnly takes of a run's result the persisted fields alone: the page's
// own ones hold the push already.
func (c *conn) sharedOnly(out outcome) (outcome, error) {
	fields, err := c.page.model.sharedOf(out.state)
	if err != nil {
		return out, err
	}
	before, err := c.page.model.decode(c.now.encoded)
	if err != nil {
		return out, err
	}
	out.state = c.page.model.withShared(before, fields)
	out.encoded, err = c.page.encode(out.state)
	return out, err
}
