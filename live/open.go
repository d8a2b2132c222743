package live

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"lastmile/push"
)

// openPatience bounds how long a browser waits for missed pushes to be applied
// before it gets its first frame, and its clicks are served. What it has on the
// screen stays until they are applied, however long that takes: the record may be
// older than what was shown last.
const openPatience = 2 * time.Second

// open resumes the page that the hello names, or mounts one anew.
func (c *conn) open(ctx context.Context, hello message) *ending {
	c.tree = c.page.set.NewView()
	c.openBy = time.Now().Add(openPatience)
	c.heir.reign = c.hub.deps.Node.Term()
	if id, fresh, err := c.hub.parseConnToken(hello.Token, c.who.Session, c.page.name); err == nil {
		c.out.hasToken = fresh
		resumed, err := c.resume(ctx, id, hello)
		if err != nil {
			return c.cannotOpen(ctx, err)
		}
		if resumed {
			c.out.behind = c.out.snapshot && hello.Last > 0
			return nil
		}
	}
	if err := c.mountAnew(ctx); err != nil {
		return c.cannotOpen(ctx, err)
	}
	c.out.behind = hello.Last > 0
	return nil
}

// cannotOpen tells the browser whether to try again.
func (c *conn) cannotOpen(ctx context.Context, err error) *ending {
	if errors.Is(err, push.ErrSessionClosed) {
		return &ending{ReasonSessionClosed, closeSessionClosed, "session closed"}
	}
	c.hub.log.WarnContext(ctx, "connection cannot open", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
	if errors.Is(err, errMount) || errors.Is(err, errStateSize) {
		return &ending{ReasonLost, websocket.StatusInternalError, "mount failed"}
	}
	return &ending{ReasonLost, websocket.StatusTryAgainLater, "store not available"}
}

// resume takes over the connection's record. It reports false when there is
// nothing to resume: then the page mounts anew.
func (c *conn) resume(ctx context.Context, id string, hello message) (bool, error) {
	store, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
	defer cancel()
	r, err := c.hub.deps.States.TakeConn(store, c.who.Session, id, c.hub.cfg.ResumeTTL)
	if errors.Is(err, push.ErrNoState) || (err == nil && r.View != c.page.name) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if hello.Number != 0 && hello.Number <= r.Client {
		return false, nil // a copy of the page, whose messages are others under the same numbers
	}
	if !c.load(ctx, r, hello) {
		return false, nil
	}
	feed, err := c.hub.deps.Node.Subscribe(ctx, c.who.Session, r.Cursor)
	switch {
	case errors.Is(err, push.ErrCursorTooOld):
		return false, nil
	case err != nil:
		return false, err
	case feed.Epoch() != r.Epoch:
		feed.Close()
		return false, nil
	}
	c.feed = feed
	if err := c.refresh(ctx, true); err != nil {
		if errors.Is(err, errStateSize) { // without the page's own fields it may fit
			c.hub.log.ErrorContext(ctx, "page has no room for the persisted fields, mounting anew", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
			return false, nil
		}
		return false, err
	}
	for _, e := range feed.Unacked() {
		if e.Err == nil && c.page.model.actions[e.Action] == nil {
			c.acks.skipped = append(c.acks.skipped, e.Seq)
		}
	}
	c.hub.metrics.mounts.WithLabelValues("resume").Inc()
	c.take(id)
	c.followAll(ctx)
	return true, nil
}

// load reads the record into the page, and finds out whether the browser shows
// exactly that. It reports false when this version of the program cannot read
// the record.
func (c *conn) load(ctx context.Context, r push.ConnRecord, hello message) bool {
	doc, err := decodeConn(r.State)
	if err == nil {
		c.state, err = c.page.model.decode(doc.State)
	}
	if err != nil {
		c.hub.log.WarnContext(ctx, "saved state cannot be read, mounting anew", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
		return false
	}
	c.now = snapshot{encoded: doc.State, cursor: r.Cursor, client: r.Client, applied: decodeApplied(doc.Applied, r.Cursor)}
	c.saved, c.created = c.now, true
	c.fence, c.epoch = r.Fence, r.Epoch
	c.refused = refusalsOf(doc.Refused)
	c.acks.owed, c.acks.done = doc.Owed, r.Cursor
	if doc.Owed != nil {
		c.acks.done = 0
	}
	for _, topic := range doc.Topics {
		c.who.subscribed(map[string]bool{topic: true})
	}
	if len(doc.Events) > 0 { // the record has to forget them before they happen
		c.held.events = doc.Events
		c.unsaved = true
	}
	c.out.manifest = hello.Manifest
	c.out.snapshot = true
	if hello.Hash != "" && hello.Snapshot == 0 && hello.Manifest == c.page.set.Fingerprint() {
		if err := c.tree.Rebase(c.state); err == nil && hashText(c.tree.Hash()) == hello.Hash {
			c.out.snapshot = false
			c.out.title = c.page.documentTitle(c.state)
		}
	}
	c.storedAt = time.Now()
	return true
}

// mountAnew makes a new connection with a page mounted from nothing. Its
// pending pushes go through the loop, where a failing one can be retried.
func (c *conn) mountAnew(ctx context.Context) error {
	c.reset()
	c.who.conn = push.NewID()
	c.hub.metrics.mounts.WithLabelValues("socket").Inc()
	m, err := c.page.mount(ctx, c.who)
	if err != nil {
		return err
	}
	feed, err := c.hub.deps.Node.Subscribe(ctx, c.who.Session, m.cursor)
	if err != nil {
		return err
	}
	c.feed = feed
	c.state, c.view, c.base = m.state, m.view, m.base
	c.now = snapshot{encoded: m.encoded}
	c.epoch = feed.Epoch()
	c.unsaved = true
	c.out.snapshot, c.out.remounted = true, true
	for _, e := range m.pending {
		c.backlog = append(c.backlog, &item{entry: e, redelivered: true})
	}
	c.mountCursor(m)
	feed.Unacked() // all of them were pending
	c.take(c.who.conn)
	c.hold(ctx, m.fx)
	return nil
}

// mountCursor notes where the page stands before the pushes that were pending,
// where it will stand behind them, and what it owes then.
func (c *conn) mountCursor(m *mounted) {
	c.now.cursor = m.cursor
	if len(c.backlog) > 0 {
		c.now.cursor = c.backlog[0].entry.Seq - 1
	}
	c.saved = c.now // what create stores, and where a conflict goes back to
	c.mountEnd = m.cursor
	if m.owes {
		c.acks.owed = &receipt{UpTo: m.cursor}
	}
}

// reset forgets the page that was.
func (c *conn) reset() {
	c.unfollowAll()
	c.who = c.who.copied()
	if c.feed != nil {
		c.feed.Close()
		c.feed = nil
	}
	c.who.topics = nil
	c.fence, c.created, c.unsaved, c.clicked = 0, false, false, false
	c.saved, c.clickBase, c.clickMine, c.viewSkipped, c.viewApplied = snapshot{}, nil, nil, nil, nil
	c.giveTurn()
	c.backlog, c.uncommitted, c.retry, c.heir = nil, nil, nil, heir{reign: c.hub.deps.Node.Term()}
	c.marked, c.careful, c.connected = false, false, false
	c.held, c.acks, c.stall, c.refused = effects{}, acknowledger{}, stall{}, nil
	c.commitAt = time.Time{}
	c.out.restart()
	c.openBy = time.Now().Add(openPatience)
}

// take makes the connection known under its ID.
func (c *conn) take(id string) {
	if former := c.name.Load(); former != nil && *former != id {
		c.hub.release(c, *former)
	}
	if c.who.conn != id {
		c.who = c.who.copied()
		c.who.conn = id
	}
	c.name.Store(&id)
	c.hub.hold(c, id)
}

// refresh brings the persisted fields up to the view's record. adopt takes them
// whatever the version.
func (c *conn) refresh(ctx context.Context, adopt bool) error {
	if len(c.page.model.shared) == 0 {
		return nil
	}
	v, err := c.page.loadView(ctx, c.who.Session)
	if err != nil {
		return err
	}
	if !adopt && v.version == c.view.version {
		return nil
	}
	return c.adopt(v)
}

// adopt takes the record's persisted fields into the state.
func (c *conn) adopt(v viewState) error {
	if v.version == 0 && c.view.version > 0 && c.hub.deps.Node.Replicated() {
		v.fields = c.page.model.defaults // the store has fallen back to before the record
	}
	state := c.page.model.withShared(c.state, v.fields)
	encoded, err := c.page.encode(state)
	if err != nil {
		return err
	}
	base, err := c.page.model.sharedOf(state)
	if err != nil {
		return err
	}
	if v.version == 0 {
		base = c.page.model.defaults // there is no record: what the state has is new
	}
	if string(encoded) != string(c.now.encoded) {
		c.out.dirty = true
	}
	c.heir.adopted(c, v)
	c.state, c.now.encoded, c.view, c.base, c.viewApplied = state, encoded, v, base, nil
	return nil
}
