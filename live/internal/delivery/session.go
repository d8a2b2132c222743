package delivery

import (
	"context"
	"errors"
	"time"

	"lastmile/push"
)

// Session is a connected page, from its mount or its resumption on until the
// connection ends or the page is mounted anew: then there is a new Session. It
// belongs to one goroutine.
//
//	Next      the next push, as decide says
//	Topic     a topic message
//	BeforeClick, Own   a click, or OnConnect
//	Commit    stores state, place and shared fields in one step; a conflict
//	          merges what a click changed, or puts pushes back in line
//	Settle    acknowledges what is stored and shown
type Session struct {
	ledger
	feed Feed
}

// Start is where a Session begins.
type Start struct {
	State    any
	Snapshot Snapshot
	Feed     Feed
	// Epoch is the store's that Snapshot.Cursor belongs to.
	Epoch string
	Owed  *Receipt
	// Fence is that of the record that was taken over. Created says that there
	// is a record.
	Fence   uint64
	Created bool
	// Effects wait for the first commit.
	Effects Effects
	// Mount is what a page that is mounted anew has found; nil resumes.
	Mount *Mount
}

// NewSession returns the Session of a page that is resumed or mounted anew.
func NewSession(d *Deps, k Key, p Program, page Page, from Start) *Session {
	s := &Session{feed: from.Feed}
	s.deps, s.key, s.program, s.page = d, k, p, page
	s.record = record{
		state: from.State, now: from.Snapshot, saved: from.Snapshot, epoch: from.Epoch,
		fence: from.Fence, created: from.Created, unsaved: !from.Created, storedAt: time.Now(),
	}
	s.starts = starts{deps: d, key: k}
	s.failover.term = d.Node.Term()
	s.shared.fields = p.Fields()
	s.Acks.owed = from.Owed
	s.watch()
	if m := from.Mount; m != nil {
		s.mounted(m)
	} else {
		s.resumed()
	}
	if from.Effects != nil {
		s.held = append(s.held, from.Effects)
		s.unsaved = true
	}
	return s
}

// mounted puts the pushes that a mount found in line, and notes where the page
// stands before and behind them.
func (s *Session) mounted(m *Mount) {
	s.shared = m.shared
	s.shared.missed = !s.shared.none() // between the mount and the feed
	for _, e := range m.Pending {
		s.queue.backlog = append(s.queue.backlog, &item{entry: e, redelivered: true})
	}
	s.now.Cursor = m.Cursor
	if len(m.Pending) > 0 {
		s.now.Cursor = m.Pending[0].Seq - 1
		s.Acks.owed = &Receipt{UpTo: m.Cursor}
	}
	s.saved = s.now // what create stores, and where a conflict goes back to
	s.queue.end = m.Cursor
	s.feed.Unacked() // all of them were pending
}

// resumed notes what a former life of the page has not acknowledged.
func (s *Session) resumed() {
	if s.Acks.owed == nil {
		s.Acks.done = s.now.Cursor
	}
	for _, e := range s.feed.Unacked() {
		if e.Err == nil && !s.program.Handles(e.Action) {
			s.Acks.skipped = append(s.Acks.skipped, e.Seq)
		}
	}
}

// CatchingUp reports whether something of what was missed has not been applied
// yet. For one that fails nothing waits: its retries take long, and it may fail
// as it did before.
func (s *Session) CatchingUp() bool {
	if s.queue.retry != nil {
		return s.queue.retry.unstarted
	}
	return len(s.queue.backlog) > 0 || !s.feed.CaughtUp()
}

// Ready is signalled when there may be more pushes, or Err has changed.
func (s *Session) Ready() <-chan struct{} { return s.feed.Ready() }

// Err returns why no more pushes come, or nil.
func (s *Session) Err() error { return s.feed.Err() }

// Turned returns a channel that yields once a push that has waited may start,
// or nil. Heard has to follow.
func (s *Session) Turned() <-chan struct{} {
	if p := s.starts.pass; p != nil && !p.heard {
		return p.ready
	}
	return nil
}

// Heard notes that Turned has yielded.
func (s *Session) Heard() { s.starts.pass.heard = true }

// Due calls soonest with the times at which there is something to do.
func (s *Session) Due(soonest func(time.Time)) {
	if s.Stalled() {
		soonest(s.stall.until)
		return
	}
	soonest(s.commitAt)
	if r := s.queue.retry; r != nil {
		soonest(r.at)
	}
	soonest(s.Acks.at)
}

// Resume tries again what could not be stored. It reports whether the page may
// go on.
func (s *Session) Resume(ctx context.Context) bool {
	if !s.Stalled() {
		return true
	}
	if time.Now().Before(s.stall.until) {
		return false
	}
	if s.unsaved {
		return s.Commit(ctx)
	}
	s.stall = stall{} // whatever it was is tried again
	return true
}

// CheckTerm stores the page anew once another server has taken over, and looks
// what became of the shared fields. It reports whether there is more to do.
func (s *Session) CheckTerm(ctx context.Context) bool {
	term := s.deps.Node.Term()
	if term == s.failover.term || !s.queue.empty() || s.Stalled() {
		return false
	}
	s.unsaved = true
	if !s.Commit(ctx) || s.Rerunning() {
		return true
	}
	if err := s.Refresh(ctx, true); err != nil {
		s.stallFor(ctx, err)
		return true
	}
	s.failover.term = term
	return true
}

// reread reads the pushes again from where the shared fields stand, or the page
// itself if it has not come that far. Those that the page's own fields hold
// change the shared ones alone. What waits in line comes again too, as far as the
// store has it. It reports false when the page has to wait.
func (s *Session) reread(ctx context.Context) bool {
	if s.queue.end > s.now.Cursor { // still on its way through what a mount found
		s.failover.tooLate()
		return true
	}
	ctx, cancel := s.deps.store(ctx)
	defer cancel()
	from := min(s.failover.from, s.now.Cursor)
	feed, err := s.deps.Node.Subscribe(ctx, s.key.Session, from)
	switch {
	case errors.Is(err, push.ErrCursorTooOld): // they are gone
		s.failover.tooLate()
		return true
	case err != nil:
		s.stallFor(ctx, err)
		return false
	}
	feed.Unacked() // what was skipped is skipped again
	s.feed.Close()
	s.starts.giveBack()
	s.feed, s.queue.backlog, s.queue.retry = feed, nil, nil
	s.watch()
	s.shared.missed = !s.shared.none() // between the two feeds
	s.failover.reread(from, s.now.Cursor)
	return true
}

// watch has the feed tell when another page stores the shared fields.
func (s *Session) watch() {
	if !s.shared.none() {
		s.feed.Watch(s.key.View)
	}
}

// follow takes over what other pages have made of the shared fields. It reports
// whether it did anything. Nothing is stored for it: whoever comes back reads
// the fields anyway. What waits to be stored itself finds out when it is, and
// runs again on top of theirs.
func (s *Session) follow(ctx context.Context) bool {
	if s.shared.none() {
		return false
	}
	if version, ok := s.feed.Stored(); ok {
		s.shared.hear(version)
	}
	if s.unsaved || s.failover.behind() || !s.shared.stale() {
		return false
	}
	if err := s.Refresh(ctx, false); err != nil {
		s.stallFor(ctx, err)
	}
	return true
}

// Settle acknowledges what is both stored and shown.
func (s *Session) Settle(ctx context.Context) {
	s.Acks.settle(ctx, s.deps, s.key, s.feed, s.saved.Cursor)
}

// Leave notes that the browser is to be sent elsewhere: what is stored has to be
// acknowledged first.
func (s *Session) Leave() { s.Acks.Leave(s.saved.Cursor) }

// MayLeave reports whether it is.
func (s *Session) MayLeave() bool { return s.Acks.mayLeave(s.feed) }

// GiveBack lets go of what other pages wait for: the connection is over. taken
// says that another one has the page, and counts its own starts.
func (s *Session) GiveBack(ctx context.Context, taken bool) {
	s.starts.giveBack()
	if r := s.queue.retry; r != nil && r.item.counted && !taken {
		s.starts.takeBack(ctx, r.item.entry)
	}
}

// StoreLast stores the page when its connection ends. stays says that the
// browser will come back for what it has not been shown: that stays in the
// mailbox then.
func (s *Session) StoreLast(ctx context.Context, stays bool) {
	unshown := stays && s.showing() && !s.shared.clicked
	if s.unsaved && !unshown {
		s.Commit(ctx) // what cannot be stored now is in the mailbox, or was not answered
	}
}

// Close ends the Session without storing it.
func (s *Session) Close() {
	s.starts.giveBack()
	s.feed.Close()
}
