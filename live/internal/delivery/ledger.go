package delivery

import (
	"context"
	"log/slog"
	"slices"
)

// ledger is what the page has and what the store has of it, with all that goes
// into one commit: state and place, the pushes in between, the shared fields, the
// starts that a commit clears, and the effects that wait for it.
type ledger struct {
	deps    *Deps
	key     Key
	program Program
	page    Page

	record
	queue    queue
	shared   shared
	starts   starts
	failover failover
	// Acks is told of frames.
	Acks Acks
	// held are the effects of Mount, OnConnect and clicks, until the state is
	// stored.
	held []Effects
}

// State is the page's state, Now the same with its place, as it is stored.
func (s *ledger) State() any { return s.state }

// Now is the page's state as it will be stored, Saved as the store has it.
func (s *ledger) Now() Snapshot { return s.now }

// Saved is the state that the store has.
func (s *ledger) Saved() Snapshot { return s.saved }

// Fence counts the take-overs of the page.
func (s *ledger) Fence() uint64 { return s.fence }

// Presentable reports whether the page may be shown: its record has been made,
// no click waits to be stored, and nothing is to run again.
func (s *ledger) Presentable() bool { return s.created && !s.shared.clicked && !s.Rerunning() }

// Rerunning reports whether a conflict has put pushes back in line that the page
// has shown.
func (s *ledger) Rerunning() bool { return s.queue.rerunning() }

// Stalled reports whether the page waits for the store.
func (s *ledger) Stalled() bool { return s.stall.tries > 0 }

// Touch has the page stored, soon.
func (s *ledger) Touch() { s.touch(s.deps.CommitDelay) }

// stallFor pauses the page until the store may answer again. A page that cannot
// take the shared fields in ends, to be mounted anew.
func (s *ledger) stallFor(ctx context.Context, err error) {
	if tooLarge(err) { // no wait makes it fit
		s.deps.log(ctx, slog.LevelError, s.key, "persisted fields of another page do not fit into this one", "error", err)
		s.page.Over(EndTooLarge)
		return
	}
	if s.pause() {
		s.deps.log(ctx, slog.LevelWarn, s.key, "store failed, the page waits", "error", err)
	}
}

// Hold keeps what Mount, OnConnect or a click did besides changing the state
// until the state is stored: then it happens once, whatever is run again.
func (s *ledger) Hold(ctx context.Context, fx Effects) {
	if fx == nil {
		return
	}
	s.held = append(s.held, fx)
	s.page.Subscribed(ctx, fx)
	if !s.unsaved {
		s.release(ctx)
	}
}

// release has everything happen that waited for the state to be stored.
func (s *ledger) release(ctx context.Context) {
	fx := s.held
	for _, it := range s.queue.uncommitted {
		if it.fx != nil {
			fx = append(fx, it.fx)
		}
	}
	if s.held = nil; len(fx) > 0 {
		s.page.Happened(ctx, fx)
	}
}

// showing reports whether something on the screen waits for the state to be
// stored.
func (s *ledger) showing() bool {
	return slices.ContainsFunc(s.held, Effects.Visible) ||
		slices.ContainsFunc(s.queue.uncommitted, func(it *item) bool { return it.fx != nil && it.fx.Visible() })
}

// Refresh brings the shared fields up to the view's record; adopt takes them
// whatever the version.
func (s *ledger) Refresh(ctx context.Context, adopt bool) error {
	if s.shared.none() {
		return nil
	}
	v, err := LoadView(ctx, s.deps, s.key, s.shared.fields)
	if err != nil {
		return err
	}
	s.shared.heard, s.shared.missed = 0, false
	if !adopt && v.Version == s.shared.view.Version {
		return nil
	}
	record, shared := s.record, s.shared
	before := s.now.Encoded
	err = s.adopt(v)
	if err == nil && string(before) != string(s.now.Encoded) {
		err = s.load(ctx)
	}
	if err != nil {
		s.record, s.shared = record, shared
	}
	return err
}

// load fills the fields of the state that are not stored, which may depend on
// those that are.
func (s *ledger) load(ctx context.Context) error {
	state, err := s.program.Load(ctx, s.state)
	if err == nil {
		s.state = state
	}
	return err
}

// adopt takes the record's shared fields into the state. A caller that goes on
// after an error puts record and shared back.
func (s *ledger) adopt(v View) error {
	replicated := s.deps.Node.Replicated()
	before := s.shared.view.Cursor
	state, err := s.shared.adopt(s.state, v, replicated)
	if err != nil {
		return err
	}
	encoded, err := s.program.Encode(state)
	if err != nil {
		return err
	}
	if string(encoded) != string(s.now.Encoded) {
		s.page.Changed()
	}
	if v.Cursor < before && replicated {
		s.failover.fellBack(v.Cursor)
	}
	s.state, s.now.Encoded = state, encoded
	return nil
}

// undo takes back what a failed action may have done to the state in place.
func (s *ledger) undo(ctx context.Context, failure error) {
	if err := s.restore(ctx, s.program); err != nil {
		s.deps.log(ctx, slog.LevelError, s.key, "state cannot be restored", "error", err, "failure", failure)
		s.page.Over(EndStateLost)
	}
}
