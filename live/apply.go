package live

import (
	"context"
	"errors"
	"slices"
	"time"

	"lastmile/push"
)

// item is a push (or a topic message) on its way into the state.
type item struct {
	entry push.Entry
	// topic says that it is a topic message: no push, no place, no retry.
	topic bool
	// redelivered says that another process may have started it before.
	redelivered bool
	// rerun says that the screen may show what it did to the state.
	rerun bool
	// fx is what its run did besides changing the state. It happens once the
	// state is stored; a run that a conflict undoes has done nothing.
	fx effects
	// looked says that the persisted fields were read anew for it.
	looked bool
	tries  int // failures
	buried bool
	// marked says that its start has been counted, alone that it must start so,
	// again that it has before.
	marked, alone, again bool
	// verdict is when it is given up unless another process survives it.
	verdict time.Time
	// burial says that it has been given up, but the store does not know yet.
	burial *push.Failure
}

// retry is the push at the head that has to wait.
type retry struct {
	item *item
	at   time.Time // zero when it waits for its turn
	// unstarted says that it has not failed: what comes before the first frame
	// waits for it.
	unstarted bool
}

// maxUncommitted bounds the pushes that are stored together.
const maxUncommitted = 64

// nextPush applies the next push, if there is one and it is due. It reports
// whether it did anything.
func (c *conn) nextPush(ctx context.Context) bool {
	if c.heir.back && !c.readBack(ctx) {
		return false
	}
	if r := c.retry; r != nil {
		if time.Now().Before(r.at) || c.inLine() {
			return false
		}
		c.applyNext(ctx, r.item)
		return true
	}
	if len(c.backlog) > 0 {
		it := c.backlog[0]
		c.backlog[0] = nil
		c.backlog = c.backlog[1:]
		c.applyNext(ctx, it)
		return true
	}
	e, ok := c.feed.Next()
	if !ok {
		if c.heir.behind() && c.feed.CaughtUp() {
			c.heir.passed(c.heir.own)
		}
		return false
	}
	c.applyNext(ctx, &item{entry: e, redelivered: c.feed.Redelivered(e)})
	return true
}

// applyNext applies a push and gives the turn back that it may have had.
func (c *conn) applyNext(ctx context.Context, it *item) {
	c.apply(ctx, it)
	if c.retry == nil || !c.retry.at.IsZero() {
		c.giveTurn()
	}
	c.backlogDone()
}

// backlogDone moves the cursor to where the feed goes on once the pushes of
// the mount have gone through.
func (c *conn) backlogDone() {
	if len(c.backlog) == 0 && c.retry == nil && c.mountEnd > c.now.cursor {
		c.now.cursor = c.mountEnd
		c.touched()
	}
}

// apply runs one push and takes its result, skips it, or has it retried.
func (c *conn) apply(ctx context.Context, it *item) {
	e := it.entry
	h := c.page.model.actions[e.Action]
	inv := c.page.pushed(c.who.Session, e)
	switch {
	case it.topic:
		c.retry = nil
		c.runTopic(ctx, it)
		return
	case it.buried:
		c.retry = nil
		c.passed(it)
		return
	case it.burial != nil:
		c.bury(ctx, it, *it.burial)
		return
	case e.Err != nil:
		c.failed(ctx, it, inv, e.Err)
		return
	case h == nil:
		c.skip(ctx, it)
		return
	}
	known := e.Seq <= c.heir.own || c.now.applied.has(e)
	if known && !it.looked && !c.lookAgain(ctx, it) {
		return
	}
	held := c.view.holds(e)
	if known && (held || len(c.page.model.shared) == 0) {
		c.retry = nil
		c.hub.metrics.repeated.Inc()
		c.passed(it)
		return
	}
	// What is in the page's own fields did not end the process that applied it.
	if !known && !c.mayStart(ctx, it) {
		return
	}
	out, err := c.page.runPush(ctx, c.who, h, c.state, inv, held)
	if !it.alone {
		c.giveTurn() // one that is alone keeps it until it is stored and cleared
	}
	if err == nil && known {
		out, err = c.sharedOnly(out)
		out.fx = effects{} // they happened when the page applied it
	}
	if err != nil {
		it.fx.flashes = out.fx.flashes // in case that was the last try
		c.failed(ctx, it, inv, err)
		return
	}
	c.retry = nil
	c.accept(out)
	c.remember(e, held)
	c.view.skipped = slices.DeleteFunc(c.view.skipped, func(s push.Seq) bool { return s == e.Seq })
	it.fx = out.fx
	c.passed(it)
	c.out.older(e.Seq.Time())
	c.changeTopics(ctx, out.fx.topics)
	if c.careful && it.redelivered {
		c.commit(ctx)
	}
}

// passed moves the cursor past a push that is dealt with.
func (c *conn) passed(it *item) {
	c.now.cursor = max(c.now.cursor, it.entry.Seq)
	c.heir.passed(it.entry.Seq)
	it.rerun = true
	c.uncommitted = append(c.uncommitted, it)
	c.touched()
}

// touched has the store told, soon.
func (c *conn) touched() {
	c.unsaved = true
	c.scheduleCommit()
}

func (c *conn) scheduleCommit() {
	if c.commitAt.IsZero() {
		c.commitAt = time.Now().Add(c.hub.cfg.CommitDelay)
	}
}

// skip passes a push that the view has no action for. It stays in the mailbox
// for a view that has.
func (c *conn) skip(ctx context.Context, it *item) {
	c.retry = nil
	e := it.entry
	c.acks.skip(e.Seq)
	if !slices.Contains(c.viewSkipped, e.Seq) && len(c.page.model.shared) > 0 {
		c.viewSkipped = append(c.viewSkipped, e.Seq)
		c.viewSkipped = c.viewSkipped[max(0, len(c.viewSkipped)-maxViewSkipped):] // more are not stored
	}
	c.hub.metrics.skipped.Inc()
	if !it.rerun && !c.hub.knows(e.Action) {
		c.hub.metrics.unknown.Inc()
		c.hub.log.WarnContext(ctx, "no view has the action of a push", "session", push.Redact(c.who.Session), "action", e.Action, "id", e.ID)
	}
	c.passed(it)
}

// failed has a push retried, or gives it up.
func (c *conn) failed(ctx context.Context, it *item, inv invocation, err error) {
	it.tries++
	c.page.logFailure(ctx, c.who, inv, it.tries, err)
	c.undo(err)
	reason := reasonOf(err)
	if reason == push.ReasonRejected || errors.Is(err, push.ErrDecode) || it.tries >= c.hub.cfg.RetryTries {
		c.bury(ctx, it, push.Failure{Reason: reason, Attempts: it.tries, Error: err.Error()})
		return
	}
	c.hub.metrics.retries.Inc()
	c.retry = &retry{item: it, at: time.Now().Add(push.Backoff(it.tries-1, c.hub.cfg.RetryBase, c.hub.cfg.RetryMax))}
}

// bury moves a push to the dead letters, tells the page, and goes on.
func (c *conn) bury(ctx context.Context, it *item, b push.Failure) {
	e := it.entry
	if err := c.feed.DeadLetter(ctx, e, b); err != nil {
		c.hub.log.WarnContext(ctx, "push cannot be buried yet", "session", push.Redact(c.who.Session), "action", e.Action, "id", e.ID, "error", err)
		it.tries++
		it.burial = &b
		c.retry = &retry{item: it, at: time.Now().Add(push.Backoff(it.tries, stallBase, stallMax))}
		return
	}
	c.hub.metrics.buried.WithLabelValues(string(b.Reason)).Inc()
	c.hub.log.WarnContext(ctx, "push buried", "session", push.Redact(c.who.Session), "action", e.Action, "id", e.ID, "attempt", b.Attempts, "reason", string(b.Reason))
	c.retry, it.burial, it.buried = nil, nil, true
	text := "An update could not be applied."
	if c.hub.cfg.Dev {
		text += " " + b.Error
	}
	c.out.fail(frameError{Code: codeDeadLetter, Text: text, Action: e.Action})
	c.passed(it)
}

// applyTopic runs a topic message, unless the view has no action for it.
func (c *conn) applyTopic(ctx context.Context, m topicMessage) {
	if c.page.model.actions[m.Action] != nil {
		c.runTopic(ctx, &item{topic: true, entry: push.Entry{Message: push.Message{Action: m.Action, Data: m.Data, ID: push.NewID()}}})
	}
}

// runTopic runs a topic message once. It came at most once, so a failure is
// only logged.
func (c *conn) runTopic(ctx context.Context, it *item) {
	e := it.entry
	inv := invocation{source: sourceTopic, action: e.Action, data: e.Data, cause: cause{"topic", c.who.conn, e.ID}}
	out, err := c.page.invoke(ctx, c.who, c.page.model.actions[e.Action], c.state, inv)
	if err != nil {
		c.page.logFailure(ctx, c.who, inv, 1, err)
		c.undo(err)
		return
	}
	c.accept(out)
	it.fx = out.fx
	c.passed(it)
	c.changeTopics(ctx, out.fx.topics)
}
