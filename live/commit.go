package live

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/coder/websocket"

	"lastmile/push"
)

// commitTries bounds how often one commit starts over because other tabs keep
// changing the persisted fields.
const commitTries = 8

// commitDue stores what pushes have changed once it has waited long enough, and
// before a frame that shows more of them than the state.
func (c *conn) commitDue(ctx context.Context, frame bool) {
	if !c.unsaved {
		c.commitAt = time.Time{}
		return
	}
	if len(c.uncommitted) >= maxUncommitted || (frame && c.showing()) || (!c.commitAt.IsZero() && !time.Now().Before(c.commitAt)) {
		c.commit(ctx)
	}
}

// keepAlive stores an idle page again before its record's lifetime is over.
func (c *conn) keepAlive() {
	if c.created && time.Since(c.storedAt) > c.hub.cfg.ResumeTTL/3 {
		c.touched()
	}
}

// commit stores the page: its state with its place, and the persisted fields if
// they changed, in one step. It reports whether the page may go on; if not, the
// page waits for the store, or is over.
func (c *conn) commit(ctx context.Context) bool {
	for range commitTries {
		if !c.created && !c.create(ctx) {
			return false
		}
		commit, next, err := c.prepare()
		if err != nil {
			c.hub.log.ErrorContext(ctx, "state cannot be encoded", "view", c.page.name, "error", err)
			c.end(ending{ReasonLost, websocket.StatusInternalError, "state cannot be stored"})
			return false
		}
		store, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
		res, err := c.hub.deps.States.Commit(store, commit)
		cancel()
		switch {
		case err == nil:
			c.count("ok")
			c.committed(ctx, next, commit.View != nil, res)
			return true
		case errors.Is(err, push.ErrStateConflict):
			c.count("conflict")
			if err := c.resolve(res.View); err != nil {
				c.hub.log.ErrorContext(ctx, "persisted fields cannot be merged", "view", c.page.name, "error", err)
				c.end(ending{ReasonLost, websocket.StatusInternalError, "state cannot be stored"})
				return false
			}
			if len(c.uncommitted) == 0 && !c.clicked && !c.unsaved {
				return true // the pushes are back in line
			}
		case errors.Is(err, push.ErrFenced):
			c.count("fenced")
			c.end(ending{ReasonTaken, closeTaken, "taken over"})
			return false
		case errors.Is(err, push.ErrNoState):
			c.count("gone")
			c.hub.log.WarnContext(ctx, "the connection's record is gone, mounting anew", "session", push.Redact(c.who.Session), "view", c.page.name)
			c.end(ending{ReasonLost, websocket.StatusServiceRestart, "1"})
			return false
		default:
			c.count("error")
			c.stallFor(ctx, err)
			return false
		}
	}
	c.stallFor(ctx, push.ErrStateConflict)
	return false
}

func (c *conn) count(outcome string) { c.hub.metrics.commits.WithLabelValues(outcome).Inc() }

// create makes the record of a page that was mounted on this socket, as it was
// before any push: those come with the first commit, together with what they
// did to the persisted fields.
func (c *conn) create(ctx context.Context) bool {
	r, err := c.record(c.saved)
	if err == nil {
		store, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
		err = c.hub.deps.States.CreateConn(store, r, c.hub.cfg.ResumeTTL)
		cancel()
	}
	if err != nil {
		c.stallFor(ctx, err)
		return false
	}
	c.created = true
	return true
}

func (c *conn) record(s snapshot) (push.ConnRecord, error) {
	state, err := encodeConn(s.encoded, connExtras{
		Topics: topicList(c.who.topics), Owed: c.acks.owed, Applied: s.applied.encode(), Refused: c.refused.below(s.client),
	})
	return push.ConnRecord{
		Session: c.who.Session, Conn: c.who.conn, View: c.page.name, State: state,
		Cursor: s.cursor, Client: s.client, Fence: c.fence, Epoch: c.epoch,
	}, err
}

// prepare builds the commit, with the view's record only if it changes.
func (c *conn) prepare() (push.Commit, viewState, error) {
	r, err := c.record(c.now)
	if err != nil {
		return push.Commit{}, viewState{}, err
	}
	commit := push.Commit{Conn: r, ConnTTL: c.hub.cfg.ResumeTTL, ViewTTL: c.hub.cfg.SharedTTL}
	now, err := c.page.model.sharedOf(c.state)
	if err != nil || now.equal(c.base) {
		return commit, c.view, err
	}
	next := viewState{
		fields: now, cursor: max(c.view.cursor, c.heir.place(c.now.cursor)), version: c.view.version, applied: c.view.applied.join(c.viewApplied),
	}
	for _, s := range slices.Concat(c.view.skipped, c.viewSkipped) {
		if s <= next.cursor && !slices.Contains(next.skipped, s) {
			next.skipped = append(next.skipped, s)
		}
	}
	view, err := c.page.model.encodeView(next)
	commit.View = &view
	return commit, next, err
}

// committed notes that the store has what the page has.
func (c *conn) committed(ctx context.Context, next viewState, withView bool, res push.CommitResult) {
	c.saved, c.unsaved = c.now, false
	c.clicked, c.clickBase, c.clickMine = false, nil, nil
	for _, it := range c.uncommitted {
		if it.alone && it.marked {
			c.page.survived(ctx, c.who.Session, it.entry)
		}
	}
	c.release(ctx)
	c.uncommitted = nil
	c.commitAt, c.storedAt = time.Time{}, time.Now()
	c.stall = stall{}
	if withView {
		next.version = res.View.Version
		c.view, c.base, c.viewSkipped, c.viewApplied = next, next.fields, nil, nil
	}
}

// resolve deals with persisted fields that another tab has changed meanwhile.
// After pushes the page goes back to what is stored and runs them again on top
// of theirs; those that their fields hold already leave the fields alone. After
// a click, or Mount or OnConnect, its changes are laid over theirs, field by
// field.
func (c *conn) resolve(r push.ViewRecord) error {
	theirs, err := c.page.model.decodeView(r)
	if err != nil {
		return err
	}
	if len(c.uncommitted) > 0 && !c.clicked {
		return c.rebase(theirs)
	}
	mine, base := c.clickMine, c.clickBase
	if !c.clicked {
		base = c.base
		if mine, err = c.page.model.sharedOf(c.state); err != nil {
			return err
		}
	}
	if err := c.adopt(theirs); err != nil {
		return err
	}
	c.state = c.page.model.withShared(c.state, merge(base, mine, theirs.fields))
	c.now.encoded, err = c.page.encode(c.state)
	c.out.dirty = true
	return err
}

// rebase puts the pushes since the last commit back in line.
func (c *conn) rebase(theirs viewState) error {
	state, err := c.page.model.decode(c.saved.encoded)
	if err != nil {
		return err
	}
	client := c.now.client
	c.state, c.now = state, c.saved
	c.now.client = client
	if err := c.adopt(theirs); err != nil {
		return err
	}
	line := c.uncommitted
	for _, it := range line {
		if !it.buried {
			it.fx = effects{} // the next run has its own
		}
	}
	if c.retry != nil {
		c.giveTurn()
		line = append(line, c.retry.item)
		c.retry = nil
	}
	c.heir.undone(line)
	c.backlog = append(line, c.backlog...)
	c.uncommitted, c.unsaved = nil, false
	c.commitAt = time.Time{}
	c.out.dirty = true
	return nil
}

// rerunning reports whether the state is behind what the page has shown: a
// rebase has put pushes back in line, and nobody must see or change the page
// before they have run again. One that fails now is shown to have failed.
func (c *conn) rerunning() bool {
	return c.retry == nil && len(c.backlog) > 0 && c.backlog[0].rerun
}
