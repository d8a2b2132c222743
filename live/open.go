package live

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"lastmile/live/internal/delivery"
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
	id, fresh, err := c.hub.parseConnToken(hello.Token, c.who.Identity, c.page.name)
	switch {
	case errors.Is(err, errOtherUser):
		return &ending{ReasonIdentity, closeIdentity, "another user's page"}
	case err == nil:
		resumed, err := c.resume(ctx, id, fresh, hello)
		if err != nil {
			return c.cannotOpen(ctx, err)
		}
		if resumed {
			c.out.holdScreen(hello.Last > 0)
			return nil
		}
	}
	if err := c.mountAnew(ctx); err != nil {
		return c.cannotOpen(ctx, err)
	}
	c.out.holdScreen(hello.Last > 0)
	return nil
}

// errNotHere says that Mount, or OnURL behind it, sends the visitor elsewhere: there
// is no page to connect to. Were there one, whoever passes over the redirect would
// see it and could act on it.
var errNotHere = errors.New("live: mount sends the visitor elsewhere")

// cannotOpen tells the browser whether to try again.
func (c *conn) cannotOpen(ctx context.Context, err error) *ending {
	switch {
	case errors.Is(err, push.ErrSessionClosed):
		return &ending{ReasonSessionClosed, closeSessionClosed, "session closed"}
	case errors.Is(err, errNotHere):
		// The browser asks for the page, and is sent where Mount says. What Mount did
		// besides is done then.
		return &ending{ReasonIdentity, closeIdentity, "the page is not for this visitor"}
	case errors.Is(err, errFull):
		c.hub.metrics.turnedAway.Inc() // no line in the log for each: there may be many
		return &ending{ReasonLost, websocket.StatusTryAgainLater, "store nearly full"}
	}
	c.hub.log.WarnContext(ctx, "connection cannot open", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
	if errors.Is(err, errMount) || errors.Is(err, delivery.ErrStateSize) || errors.Is(err, delivery.ErrLoad) {
		return &ending{ReasonLost, websocket.StatusInternalError, "page cannot be made"}
	}
	return &ending{ReasonLost, websocket.StatusTryAgainLater, "store not available"}
}

// takeRecord takes a connection's record from whoever held it.
func (c *conn) takeRecord(ctx context.Context, id string) (push.ConnRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
	defer cancel()
	return c.hub.deps.States.TakeConn(ctx, c.who.Session, id, c.hub.cfg.ResumeTTL)
}

// resume takes over the record of the connection that the browser's token names,
// fresh or not. It reports false when there is nothing to resume: then the page
// mounts anew.
func (c *conn) resume(ctx context.Context, id string, fresh bool, hello message) (bool, error) {
	r, err := c.takeRecord(ctx, id)
	if errors.Is(err, push.ErrNoState) || (err == nil && r.View != c.page.name) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if hello.Number != 0 && hello.Number <= r.Client {
		return false, nil // a copy of the page, whose messages are others under the same numbers
	}
	c.visitAs(id)
	c.out.resumes(hello.Manifest, fresh)
	from, ok, err := c.load(ctx, r, hello)
	if err != nil || !ok {
		return false, err
	}
	from.Feed, err = c.hub.pages.Node.Subscribe(ctx, c.who.Session, r.Cursor)
	switch {
	case errors.Is(err, push.ErrCursorTooOld):
		return false, nil
	case err != nil:
		return false, err
	case from.Feed.Epoch() != r.Epoch:
		from.Feed.Close()
		return false, nil
	}
	c.session = delivery.NewSession(c.hub.pages, c.page.key(c.who), program{c.page, c.who}, screen{c}, from)
	if err := c.session.Refresh(ctx, true); err != nil {
		if errors.Is(err, delivery.ErrStateSize) { // without the page's own fields it may fit
			c.hub.log.ErrorContext(ctx, "page has no room for the persisted fields, mounting anew", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
			return false, nil
		}
		return false, err
	}
	c.hub.metrics.mounts.WithLabelValues("resume").Inc()
	c.take(id)
	c.topics.followAll(ctx)
	return true, nil
}

// load reads the record into the page, and finds out whether the browser shows
// exactly that. It reports false when this version of the program cannot read
// the record.
func (c *conn) load(ctx context.Context, r push.ConnRecord, hello message) (delivery.Start, bool, error) {
	var from delivery.Start
	doc, err := decodeConn(r.State)
	if err == nil {
		from.State, err = c.page.model.decode(doc.State)
	}
	if err != nil {
		c.hub.log.WarnContext(ctx, "saved state cannot be read, mounting anew", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
		return from, false, nil
	}
	if from.State, err = (program{c.page, c.who}).Load(ctx, from.State); err != nil {
		return from, false, err // mounted anew it would lose what it is
	}
	from.Snapshot = delivery.Snapshot{Encoded: doc.State, Cursor: r.Cursor, Client: r.Client, Applied: delivery.DecodeApplied(doc.Applied, r.Cursor)}
	from.Fence, from.Epoch, from.Created, from.Owed = r.Fence, r.Epoch, true, doc.Owed
	from.Effects = boxed(effects{events: doc.Events}) // the record forgets them before they happen
	c.refused = refusalsOf(doc.Refused)
	if to := doc.Place; to != nil && !sameQuery(*to, c.who.request.RawQuery) {
		// The browser has not heard of it, or has moved on and will say so.
		c.out.add(effects{patch: &patch{query: *to}})
	}
	if doc.Place != nil {
		moveTo(c, *doc.Place)
	}
	for _, topic := range doc.Topics {
		c.who.subscribed(map[string]bool{topic: true})
	}
	if hello.Hash != "" && hello.Snapshot == 0 && hello.Manifest == c.page.set.Fingerprint() {
		if err := c.tree.Rebase(from.State); err == nil && hashText(c.tree.Hash()) == hello.Hash {
			c.out.shows(c.page.documentTitle(from.State))
		}
	}
	return from, true, nil
}

// mountAnew makes a new connection with a page mounted from nothing. Its
// pending pushes go through the loop, where a failing one can be retried.
func (c *conn) mountAnew(ctx context.Context) error {
	if !c.hub.room.lets(c.who.Identity) {
		return errFull
	}
	c.leavePage()
	c.visitAs(push.NewID())
	c.hub.metrics.mounts.WithLabelValues("socket").Inc()
	m, err := c.page.mount(ctx, c.who)
	if err != nil {
		return err
	}
	if m.fx.navigate != nil {
		return errNotHere
	}
	feed, err := c.hub.pages.Node.Subscribe(ctx, c.who.Session, m.Cursor)
	if err != nil {
		return err
	}
	c.session = delivery.NewSession(c.hub.pages, c.page.key(c.who), program{c.page, c.who}, screen{c}, delivery.Start{
		State: m.State, Snapshot: delivery.Snapshot{Encoded: m.Encoded}, Feed: feed, Epoch: feed.Epoch(), Mount: m.Mount,
	})
	c.take(c.who.conn)
	c.session.Hold(ctx, boxed(m.fx))
	return nil
}

// leavePage lets go of the page that was. What is still to be said about it is
// said.
func (c *conn) leavePage() {
	c.topics.unfollowAll()
	if c.session != nil {
		c.session.Close()
		c.session = nil
	}
	c.connected, c.refused, c.placed = false, nil, nil
	c.out.restart()
	c.openBy = time.Now().Add(openPatience)
}

// visitAs makes the visitor of a page: one that has no subscriptions yet.
func (c *conn) visitAs(id string) {
	c.who = &visitor{Identity: c.who.Identity, view: c.who.view, conn: id, request: c.who.request}
}

// take makes the connection known under its ID.
func (c *conn) take(id string) {
	if former := c.name.Load(); former != nil && *former != id {
		c.hub.release(c, *former)
	}
	c.name.Store(&id)
	c.hub.hold(c, id)
}
