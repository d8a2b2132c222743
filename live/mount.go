package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lastmile/push"
)

// mounted is a page made anew: for a first GET, a form without JavaScript, or a
// WebSocket that has no saved state to resume.
type mounted struct {
	state   any
	encoded []byte
	// base are the persisted fields as they came from the record.
	base shared
	view viewState
	// pending waits to be applied, oldest first.
	pending []push.Entry
	// cursor and epoch are where the page stands once pending is applied.
	cursor push.Seq
	epoch  string
	// applied is the last pending push that went into the state.
	applied push.Seq
	ids     applied
	skipped []push.Seq
	owes    bool // something is to be acknowledged
	fx      effects
	last    effects // of the last pending push that was applied
	// rejected are the messages of pushes that are dead letters now.
	rejected []Flash
	// sentOff is what is to be acknowledged when a pending push sends the
	// browser elsewhere: that push alone.
	sentOff *push.Ack
}

const (
	// mountTries bounds how often a mount starts over because another one
	// changed the persisted fields meanwhile.
	mountTries = 5
	// quickTries is how often a failing push is tried while a browser waits
	// for its page; the WebSocket takes it from there.
	quickTries = 3
)

var errMount = errors.New("live: mount failed")

// open mounts a page with its pending pushes applied and its persisted fields
// stored.
func (p *page) open(ctx context.Context, who *visitor, kind string) (*mounted, error) {
	p.hub.metrics.mounts.WithLabelValues(kind).Inc()
	var last error
	for range mountTries {
		m, err := p.mount(ctx, who)
		if err != nil || m.fx.navigate != nil {
			return m, err
		}
		if err := p.applyPending(ctx, who, m); err != nil {
			return nil, err
		}
		err = p.saveMounted(ctx, who, m)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, push.ErrStateConflict) {
			return nil, err
		}
		last = err
	}
	return nil, fmt.Errorf("live: mount %q: given up after %d tries: %w", p.name, mountTries, last)
}

// mount makes the state: initial, persisted fields, Mount. Pending pushes are
// only looked up.
func (p *page) mount(ctx context.Context, who *visitor) (*mounted, error) {
	m := &mounted{}
	state, err := p.model.fresh()
	if err != nil {
		return nil, err
	}
	if m.view, err = p.loadView(ctx, who.Session); err != nil {
		return nil, err
	}
	state = p.model.withShared(state, m.view.fields)
	if m.base, err = p.model.sharedOf(state); err != nil {
		return nil, err
	}
	if m.encoded, err = p.encode(state); err != nil {
		return nil, err
	}
	m.state = state
	backlog, err := p.hub.deps.Node.Pending(ctx, who.Session, 0)
	if err != nil {
		return nil, err
	}
	m.pending, m.epoch = backlog.Entries, backlog.Epoch
	m.cursor = max(backlog.Cursor, m.view.cursor)
	m.owes = len(m.pending) > 0
	if p.model.mount == nil {
		return m, nil
	}
	inv := invocation{source: sourceMount, action: "Mount", cause: cause{"mount", push.NewID()}}
	out, err := p.invoke(ctx, who, p.model.mount, m.state, inv)
	m.fx = out.fx
	if err != nil {
		p.logFailure(ctx, who, inv, 1, err)
		return nil, fmt.Errorf("%w: %w", errMount, err)
	}
	m.state, m.encoded = out.state, out.encoded
	return m, nil
}

// loadView reads the view's shared record, if the view has persisted fields.
func (p *page) loadView(ctx context.Context, session string) (viewState, error) {
	if len(p.model.shared) == 0 {
		return viewState{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.hub.cfg.StoreTimeout)
	defer cancel()
	r, err := p.hub.deps.States.LoadView(ctx, session, p.name)
	if err != nil {
		return viewState{}, fmt.Errorf("live: load view %q: %w", p.name, err)
	}
	return p.model.decodeView(r)
}

// applyPending applies what waits, in order. A push that keeps failing stays,
// and all after it; so does what comes after one that sends the browser
// elsewhere.
func (p *page) applyPending(ctx context.Context, who *visitor, m *mounted) error {
	starts := mountStarts{page: p, session: who.Session, by: time.Now().Add(openPatience), marking: true}
	defer starts.over(ctx)
	ofMount := m.fx
	for i, e := range m.pending {
		if e.Err != nil {
			m.leave(i)
			return nil
		}
		h := p.model.actions[e.Action]
		if h == nil {
			m.skipped = append(m.skipped, e.Seq)
			continue
		}
		ok, err := starts.may(ctx, e)
		if ok {
			ok, err = p.applyQuickly(ctx, who, m, e, h)
			starts.ended(ctx, e)
		}
		if err != nil {
			return err
		}
		if !ok {
			m.leave(i)
			return nil
		}
		if m.fx.navigate != nil {
			m.sendOff(i, ofMount)
			return nil
		}
	}
	m.pending = nil
	return nil
}

// sendOff notes that the i-th pending push sends the browser elsewhere. That
// one is over then. Nobody will have seen what the others did, so they stay for
// the next mount, and their effects too.
func (m *mounted) sendOff(i int, ofMount effects) {
	e := m.pending[i]
	m.sentOff = &push.Ack{UpTo: e.Seq}
	for _, before := range m.pending[:i] {
		m.sentOff.Skipped = append(m.sentOff.Skipped, before.Seq)
	}
	ofMount.add(m.last)
	m.fx = ofMount
}

// leave keeps the pending pushes from the i-th on for the WebSocket.
func (m *mounted) leave(i int) {
	m.pending = m.pending[i:]
	m.cursor = m.pending[0].Seq - 1
	m.skipped = slices.DeleteFunc(m.skipped, func(s push.Seq) bool { return s > m.cursor })
	m.owes = i > 0
}

// applyQuickly tries a push a few times at once. It reports whether the push is
// done with.
func (p *page) applyQuickly(ctx context.Context, who *visitor, m *mounted, e push.Entry, h handler) (bool, error) {
	inv := p.pushed(who.Session, e)
	for try := 1; ; try++ {
		out, err := p.runPush(ctx, who, h, m.state, inv, m.view.holds(e))
		if err == nil {
			m.state, m.encoded, m.applied = out.state, out.encoded, e.Seq
			if p.hub.deps.Node.Replicated() {
				m.ids = m.ids.with(appliedID{hashID(e.ID), e.Seq})
			}
			m.last = out.fx
			m.fx.add(out.fx)
			return true, nil
		}
		p.logFailure(ctx, who, inv, try, err)
		if m.state, err = p.restore(m.state, m.encoded, err); err != nil {
			if !errors.Is(err, push.ErrReject) {
				return false, err
			}
			m.rejected = append(m.rejected, out.fx.flashes...)
			return true, p.hub.deps.Node.DeadLetter(ctx, who.Session, e.Seq, push.Failure{Reason: push.ReasonRejected, Attempts: try, Error: err.Error()})
		}
		if try == quickTries || ctx.Err() != nil {
			return false, nil
		}
	}
}

// runPush runs a push. When the persisted fields hold its effect already, from
// another tab or a page that never arrived, it leaves them alone.
func (p *page) runPush(ctx context.Context, who *visitor, h handler, state any, inv invocation, held bool) (outcome, error) {
	if !held {
		return p.invoke(ctx, who, h, state, inv)
	}
	before, err := p.model.sharedOf(state)
	if err != nil {
		return outcome{}, err
	}
	out, err := p.invoke(ctx, who, h, state, inv)
	if err != nil {
		return out, err
	}
	out.state = p.model.withShared(out.state, before)
	out.encoded, err = p.encode(out.state)
	return out, err
}

// restore undoes what a failed action may have done to the state it was given.
// The action's error comes back only if no retry can help.
func (p *page) restore(state any, encoded []byte, failure error) (any, error) {
	if !p.model.flat {
		var err error
		if state, err = p.model.decode(encoded); err != nil {
			return nil, err
		}
	}
	if errors.Is(failure, push.ErrReject) {
		return state, failure
	}
	return state, nil
}

// pushed describes the run of a push.
func (p *page) pushed(session string, e push.Entry) invocation {
	return invocation{
		source: sourcePush, action: e.Action, data: e.Data, pushID: e.ID, parent: e.Traceparent,
		cause: cause{"push", session, p.name, e.ID},
	}
}

// saveMounted stores the persisted fields that mounting has changed.
func (p *page) saveMounted(ctx context.Context, who *visitor, m *mounted) error {
	now, err := p.model.sharedOf(m.state)
	if err != nil || now.equal(m.base) {
		return err
	}
	next := viewState{fields: now, cursor: max(m.view.cursor, m.applied), version: m.view.version, applied: m.view.applied.join(m.ids)}
	for _, s := range m.skipped {
		if s <= next.cursor {
			next.skipped = append(next.skipped, s)
		}
	}
	saved, err := p.saveView(ctx, who.Session, next)
	if err != nil {
		return err
	}
	m.view, m.base = saved, now
	return nil
}

// saveView stores the shared record alone.
func (p *page) saveView(ctx context.Context, session string, v viewState) (viewState, error) {
	r, err := p.model.encodeView(v)
	if err != nil {
		return v, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.hub.cfg.StoreTimeout)
	defer cancel()
	res, err := p.hub.deps.States.Commit(ctx, push.Commit{
		Conn: push.ConnRecord{Session: session, View: p.name}, View: &r, ViewTTL: p.hub.cfg.SharedTTL,
	})
	if errors.Is(err, push.ErrStateConflict) {
		p.hub.metrics.commits.WithLabelValues("conflict").Inc()
		theirs, bad := p.model.decodeView(res.View)
		return theirs, errors.Join(err, bad)
	}
	if err != nil {
		p.hub.metrics.commits.WithLabelValues("error").Inc()
		return v, fmt.Errorf("live: store view %q: %w", p.name, err)
	}
	p.hub.metrics.commits.WithLabelValues("ok").Inc()
	v.version = res.View.Version
	return v, nil
}

// receipt is what the page acknowledges when it has arrived, or nil.
func (m *mounted) receipt() *receipt {
	if !m.owes {
		return nil
	}
	return &receipt{UpTo: m.cursor, Skipped: m.skipped}
}
