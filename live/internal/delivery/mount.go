package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lastmile/push"
)

const (
	// mountTries bounds how often a form's changes are merged anew because other
	// tabs keep changing the shared fields.
	mountTries = 5
	// quickTries is how often a failing push is tried while a browser waits
	// for its page; the WebSocket takes it from there.
	quickTries = 3
)

// Mount is a page made anew: for a first GET, a form without JavaScript, or a
// WebSocket that has no saved state to resume.
type Mount struct {
	State   any
	Encoded []byte
	// Pending waits to be applied, oldest first.
	Pending []push.Entry
	// Cursor and Epoch are where the page stands once Pending is applied.
	Cursor push.Seq
	Epoch  string
	// IDs are those of the pushes that Apply has applied.
	IDs Applied
	// Effects are those of the pushes that Apply has applied, in order, and of
	// those that it has given up.
	Effects []Effects
	// Rejected are of those that it has given up alone.
	Rejected []Effects

	deps    *Deps
	key     Key
	program Program
	shared  shared
	applied push.Seq // the last pending push that went into the state
	skipped []push.Seq
	owes    bool // something is to be acknowledged
}

// NewMount returns a page around an initial state, with the shared fields of the
// session. Pending pushes are only noted.
func NewMount(ctx context.Context, d *Deps, k Key, p Program, state any, backlog func(context.Context) (push.Backlog, error)) (*Mount, error) {
	m := &Mount{deps: d, key: k, program: p, shared: shared{fields: p.Fields()}}
	var err error
	if m.shared.view, err = LoadView(ctx, d, k, m.shared.fields); err != nil {
		return nil, err
	}
	m.State = m.shared.fields.With(state, m.shared.view.Fields)
	if m.State, err = p.Load(ctx, m.State); err != nil {
		return nil, err
	}
	if m.shared.base, err = m.shared.fields.Of(m.State); err != nil {
		return nil, err
	}
	if m.Encoded, err = p.Encode(m.State); err != nil {
		return nil, err
	}
	found, err := backlog(ctx)
	if err != nil {
		return nil, err
	}
	m.Pending, m.Epoch = found.Entries, found.Epoch
	m.Cursor = max(found.Cursor, m.shared.view.Cursor)
	m.owes = len(m.Pending) > 0
	return m, nil
}

// Take makes the result of Mount the page's.
func (m *Mount) Take(out Outcome) { m.State, m.Encoded = out.State, out.Encoded }

// Apply applies what waits, in order, until by. A push that keeps failing stays,
// and all after it; so does what comes after one whose effects end the page, as
// leaves says: that one is returned.
func (m *Mount) Apply(ctx context.Context, by time.Time, leaves func(Effects) bool) (*SentOff, error) {
	gate := starts{deps: m.deps, key: m.key}
	var beside []push.Entry // counted, and started beside others
	// A browser may load its page on any number of nodes without acknowledging
	// it: what has killed nothing is not counted.
	defer func() {
		for _, e := range beside {
			if !gate.takeBack(ctx, e) {
				return // the store is away
			}
		}
	}()
	for i, e := range m.Pending {
		it := &item{entry: e, redelivered: true}
		switch decide(facts{unreadable: e.Err != nil, handled: m.program.Handles(e.Action)}) {
		case park:
			m.skipped = append(m.skipped, e.Seq)
			m.shared.skip(e.Seq)
			continue
		case start:
		default:
			m.leave(i)
			return nil, nil
		}
		ok, err := m.start(ctx, &gate, it, by)
		if it.counted && !it.isolated {
			beside = append(beside, e)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			m.leave(i)
			return nil, nil
		}
		if it.fx != nil && leaves(it.fx) {
			return m.sendOff(i, it.fx), nil
		}
	}
	m.Pending = nil
	return nil, nil
}

// start starts a push when it may, and reports whether the push is done with. A
// browser waits: what may not start in time is left.
func (m *Mount) start(ctx context.Context, gate *starts, it *item, by time.Time) (done bool, err error) {
	v, _ := gate.may(ctx, it)
	for v == mustWait {
		if !gate.wait(ctx, time.Until(by)) {
			return false, nil
		}
		v, _ = gate.may(ctx, it)
	}
	if v != mayStart {
		gate.giveBack()
		return false, nil
	}
	done, err = m.tryQuickly(ctx, it)
	gate.survived(ctx, it)
	gate.giveBack()
	return done, err
}

// tryQuickly tries a push a few times at once. It reports whether the push is
// done with.
func (m *Mount) tryQuickly(ctx context.Context, it *item) (bool, error) {
	for try := 1; ; try++ {
		out, err := m.shared.run(ctx, m.program, m.State, it.entry, m.shared.view.holds(it.entry))
		if err == nil {
			m.Take(out)
			m.applied, it.fx = it.entry.Seq, out.Effects
			m.shared.unskip(it.entry.Seq)
			if m.deps.Node.Replicated() {
				m.IDs = m.IDs.with(idOf(it.entry))
				m.shared.applied = m.IDs
			}
			if it.fx != nil {
				m.Effects = append(m.Effects, it.fx)
			}
			return true, nil
		}
		reason := m.program.Failed(ctx, it.entry, FromPush, try, err)
		if !m.program.Flat() {
			state, bad := m.program.Decode(m.Encoded)
			if bad != nil {
				return false, bad
			}
			if m.State, bad = m.program.Load(ctx, state); bad != nil {
				return false, bad
			}
		}
		if reason == push.ReasonRejected {
			if out.Effects != nil {
				m.Rejected = append(m.Rejected, out.Effects)
			}
			return true, m.deps.Node.DeadLetter(ctx, m.key.Session, it.entry.Seq, push.Failure{Reason: reason, Attempts: try, Error: err.Error()})
		}
		if try == quickTries || ctx.Err() != nil {
			return false, nil
		}
	}
}

// leave keeps the pending pushes from the i-th on for the WebSocket.
func (m *Mount) leave(i int) {
	m.Pending = m.Pending[i:]
	m.Cursor = m.Pending[0].Seq - 1
	n := 0
	for n < len(m.skipped) && m.skipped[n] <= m.Cursor {
		n++
	}
	m.skipped = m.skipped[:n]
	m.owes = i > 0
}

// SentOff is a pending push that ends the page before it is shown.
type SentOff struct {
	// Ack is what to acknowledge then: that push alone. Nobody will have seen
	// what the others did, so they stay for the next mount, and their effects
	// too.
	Ack push.Ack
	// Effects are the push's.
	Effects Effects
}

func (m *Mount) sendOff(i int, fx Effects) *SentOff {
	s := &SentOff{Ack: push.Ack{UpTo: m.Pending[i].Seq}, Effects: fx}
	for _, before := range m.Pending[:i] {
		s.Ack.Skipped = append(s.Ack.Skipped, before.Seq)
	}
	return s
}

// Receipt is what the page acknowledges when it has arrived, or nil.
func (m *Mount) Receipt() *Receipt {
	if !m.owes {
		return nil
	}
	return &Receipt{UpTo: m.Cursor, Skipped: m.skipped}
}

// Save stores the shared fields that mounting has changed. It returns an error
// that wraps push.ErrStateConflict when another page was faster.
func (m *Mount) Save(ctx context.Context) error {
	next, changed, err := m.shared.next(m.State, m.applied)
	if err != nil || !changed {
		return err
	}
	_, err = m.shared.save(ctx, m.deps, m.key, next)
	return err
}

// SaveForm stores the shared fields of what a form's action has made of the
// page's state: its changes are laid over what other pages have stored
// meanwhile, field by field.
func (m *Mount) SaveForm(ctx context.Context, state any) error {
	now, err := m.shared.fields.Of(state)
	if err != nil || now.Equal(m.shared.base) {
		return err
	}
	base, view := m.shared.base, m.shared.view
	view.Fields = now
	for range mountTries {
		theirs, err := m.shared.save(ctx, m.deps, m.key, view)
		if !errors.Is(err, push.ErrStateConflict) {
			return err
		}
		view = theirs
		view.Fields = merge(base, now, theirs.Fields)
	}
	return fmt.Errorf("live: given up after %d tries: %w", mountTries, push.ErrStateConflict)
}
