package delivery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"lastmile/push"
)

const (
	// commitTries bounds how often one commit starts over because other tabs keep
	// changing the shared fields.
	commitTries = 8
	// maxUncommitted bounds the pushes that are stored together.
	maxUncommitted = 64
)

// CommitDue stores what pushes have changed once it has waited long enough, and
// before a frame that shows more of them than the state.
func (s *ledger) CommitDue(ctx context.Context, frame bool) {
	if !s.unsaved {
		s.commitAt = time.Time{}
		return
	}
	due := !s.commitAt.IsZero() && !time.Now().Before(s.commitAt)
	if due || len(s.queue.uncommitted) >= maxUncommitted || (frame && s.showing()) {
		s.Commit(ctx)
	}
}

// CommitOwn stores what OnConnect has changed.
func (s *ledger) CommitOwn(ctx context.Context) {
	if s.unsaved {
		s.Commit(ctx)
	}
}

// KeepAlive stores an idle page again before its record's lifetime is over.
func (s *ledger) KeepAlive() {
	if s.created && time.Since(s.storedAt) > s.deps.ResumeTTL/3 {
		s.Touch()
	}
}

// Commit stores the page: its state with its place, and the shared fields if
// they changed, in one step. It reports whether the page may go on; if not, the
// page waits for the store, or is over.
func (s *ledger) Commit(ctx context.Context) bool {
	for range commitTries {
		if !s.created && !s.create(ctx) {
			return false
		}
		commit, next, err := s.prepare()
		if err != nil {
			return s.unstorable(ctx, "state cannot be encoded", err)
		}
		storeCtx, cancel := s.deps.store(ctx)
		res, err := s.deps.States.Commit(storeCtx, commit)
		cancel()
		switch {
		case err == nil:
			s.deps.Meter.Committed("ok")
			s.committed(ctx, next, commit.View != nil && commit.View.State != nil, res.View.Version)
			return true
		case errors.Is(err, push.ErrStateConflict):
			s.deps.Meter.Committed("conflict")
			if err := s.conflict(ctx, res.View); tooLarge(err) || errors.Is(err, ErrLoad) {
				s.stallFor(ctx, err)
				return false
			} else if err != nil {
				return s.unstorable(ctx, "persisted fields cannot be merged", err)
			}
			if len(s.queue.uncommitted) == 0 && !s.shared.clicked && !s.unsaved {
				return true // the pushes are back in line
			}
		case errors.Is(err, push.ErrFenced):
			s.deps.Meter.Committed("fenced")
			s.page.Over(EndFenced)
			return false
		case errors.Is(err, push.ErrNoState):
			s.deps.Meter.Committed("gone")
			s.deps.log(ctx, slog.LevelWarn, s.key, "the connection's record is gone, mounting anew")
			s.page.Over(EndGone)
			return false
		default:
			s.deps.Meter.Committed("error")
			s.stallFor(ctx, err)
			return false
		}
	}
	s.stallFor(ctx, push.ErrStateConflict)
	return false
}

func (s *ledger) unstorable(ctx context.Context, what string, err error) bool {
	s.deps.log(ctx, slog.LevelError, s.key, what, "error", err)
	s.page.Over(EndUnstorable)
	return false
}

// create makes the record of a page that was mounted on this connection, as it
// was before any push: those come with the first commit, together with what they
// did to the shared fields.
func (s *ledger) create(ctx context.Context) bool {
	r, err := s.document(s.saved)
	if err == nil {
		storeCtx, cancel := s.deps.store(ctx)
		err = s.deps.States.CreateConn(storeCtx, r, s.deps.ResumeTTL)
		cancel()
	}
	if err != nil {
		s.stallFor(ctx, err)
		return false
	}
	s.created = true
	return true
}

// document is what is stored of a snapshot.
func (s *ledger) document(snap Snapshot) (push.ConnRecord, error) {
	state, err := s.page.Document(snap, s.Acks.owed)
	return push.ConnRecord{
		Session: s.key.Session, Conn: s.key.Conn, View: s.key.View, State: state,
		Cursor: snap.Cursor, Client: snap.Client, Fence: s.fence, Epoch: s.epoch,
	}, err
}

// prepare builds the commit. The view's record is compared if it does not change.
func (s *ledger) prepare() (push.Commit, View, error) {
	r, err := s.document(s.now)
	if err != nil {
		return push.Commit{}, View{}, err
	}
	commit := push.Commit{Conn: r, ConnTTL: s.deps.ResumeTTL, ViewTTL: s.deps.SharedTTL}
	if s.shared.none() {
		return commit, View{}, nil
	}
	next, changed, err := s.shared.next(s.state, s.failover.place(s.now.Cursor))
	if err != nil {
		return commit, next, err
	}
	// Actions have looked at the fields in any case: another page may have changed
	// them since. But a start that is counted is to be cleared as soon as it has been
	// survived, and not to be repeated first: then the hint has to do.
	if counted := func(it *item) bool { return it.counted }; !changed && slices.ContainsFunc(s.queue.uncommitted, counted) {
		return commit, next, nil
	}
	view := push.ViewRecord{Version: s.shared.view.Version}
	if changed {
		view, err = next.encode(s.shared.fields.Names())
	}
	commit.View = &view
	return commit, next, err
}

// committed notes that the store has what the page has.
func (s *ledger) committed(ctx context.Context, next View, withView bool, version uint64) {
	s.isStored()
	s.shared.clicked, s.shared.before, s.shared.after = false, nil, nil
	for _, it := range s.queue.uncommitted {
		s.starts.survived(ctx, it)
	}
	if withView {
		s.shared.stored(next, version)
		s.deps.Node.Stored(s.key.Session, s.key.View, version)
	}
	s.release(ctx)
	s.queue.uncommitted = nil
}

// conflict deals with shared fields that another tab has changed meanwhile.
// After pushes the page goes back to what is stored and runs them again on top
// of theirs; those that their fields hold already leave the fields alone. After
// a click, or Mount or OnConnect, its changes are laid over theirs, field by
// field.
func (s *ledger) conflict(ctx context.Context, r push.ViewRecord) error {
	record, shared := s.record, s.shared
	err := s.resolve(ctx, r)
	if err != nil {
		s.record, s.shared = record, shared
	}
	return err
}

func (s *ledger) resolve(ctx context.Context, r push.ViewRecord) error {
	theirs, err := decodeView(s.shared.fields.Names(), r)
	if err != nil {
		return err
	}
	if len(s.queue.uncommitted) > 0 && !s.shared.clicked {
		return s.rebase(ctx, theirs)
	}
	base, mine := s.shared.before, s.shared.after
	if !s.shared.clicked {
		base = s.shared.base
		if mine, err = s.shared.fields.Of(s.state); err != nil {
			return err
		}
	}
	if err := s.adopt(theirs); err != nil {
		return err
	}
	found, err := s.shared.fields.Of(s.state)
	if err != nil {
		return err
	}
	s.state = s.shared.fields.With(s.state, merge(base, mine, found))
	s.now.Encoded, err = s.program.Encode(s.state)
	if err != nil {
		return err
	}
	s.page.Changed()
	return s.load(ctx)
}

// rebase puts the pushes since the last commit back in line.
func (s *ledger) rebase(ctx context.Context, theirs View) error {
	if err := s.goBack(s.program); err != nil {
		return err
	}
	if err := s.adopt(theirs); err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	if s.queue.retry != nil {
		s.starts.giveBack()
	}
	s.failover.undone(s.queue.undo())
	s.page.Changed()
	return nil
}
