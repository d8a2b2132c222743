package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/push"
)

// fake is all that a page stands on: mailbox, store, program and screen. Its
// actions add their name to the page's own list and count in the shared fields.
type fake struct {
	*Deps
	t *testing.T

	// The mailbox.
	entries     []push.Entry
	next        int
	redelivered bool
	behind      bool // the feed has not caught up
	unacked     []push.Entry
	feedErr     error
	acked       push.Seq
	ackedBy     []push.Ack
	skipped     []push.Seq
	flushed     int
	confirmed   push.Seq // acknowledged in the store
	letters     []push.Failure
	letterErr   error
	subscribed  []push.Seq
	subErr      error
	ackErr      error
	watched     []string
	heard       uint64
	told        bool

	// Starts.
	starts   map[push.Seq]int
	startErr error
	cleared  []push.Seq
	clearErr error
	term     uint64
	replicas bool

	// The store.
	conn      push.ConnRecord
	created   int
	createErr error
	view      push.ViewRecord
	loadErr   error
	commits   int
	commitErr []error // of the next ones
	rivals    int     // commits that another page is faster than
	rival     string  // what it writes

	// The program.
	fails   map[string]int
	failure error
	ran     []string
	decode  error
	notFlat bool
	limit   int // of a state's size

	// The screen.
	changed, applied int
	happened         []string
	gaveUp           []string
	over             []End
	counted          []string
}

type fakeState struct {
	Own  string
	A, B string
}

type fakeEffects string

func (f fakeEffects) Visible() bool { return !strings.HasPrefix(string(f), "quiet") }

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, starts: map[push.Seq]int{}, fails: map[string]int{}, failure: errors.New("failed"), rival: "theirs", limit: 1 << 10}
	f.Deps = &Deps{
		Node: nodeOf{f}, States: f, Meter: f, Gate: NewGate(time.Minute), Counts: new(Counts), Log: slog.New(slog.DiscardHandler),
		Config: Config{
			ActionTimeout: 10 * time.Second, StoreTimeout: 2 * time.Second, CommitDelay: 20 * time.Millisecond,
			ResumeTTL: time.Hour, SharedTTL: time.Hour, RetryTries: 3, RetryBase: 50 * time.Millisecond, RetryMax: time.Second,
		},
	}
	return f
}

// entry is the n-th push.
func entry(n int, action string) push.Entry {
	return push.Entry{Seq: seqOf(n), Message: push.Message{Action: action, ID: action + string(rune('0'+n))}}
}

// seqOf makes places a second apart.
func seqOf(n int) push.Seq { return push.Seq(n) * 1_000_000 }

func (f *fake) push(n int, action string) { f.entries = append(f.entries, entry(n, action)) }

// Feed.

func (f *fake) Ready() <-chan struct{} { return nil }

func (f *fake) Next() (push.Entry, bool) {
	if f.next == len(f.entries) {
		return push.Entry{}, false
	}
	f.next++
	return f.entries[f.next-1], true
}

func (f *fake) CaughtUp() bool              { return !f.behind && f.next == len(f.entries) }
func (f *fake) Redelivered(push.Entry) bool { return f.redelivered }
func (f *fake) Unacked() []push.Entry       { u := f.unacked; f.unacked = nil; return u }
func (f *fake) Flush()                      { f.flushed++ }
func (f *fake) Acked() push.Seq             { return f.confirmed }
func (f *fake) Epoch() string               { return "epoch" }
func (f *fake) Err() error                  { return f.feedErr }
func (f *fake) Close()                      {}
func (f *fake) Watch(view string)           { f.watched = append(f.watched, view) }
func (f *fake) Stored() (version uint64, ok bool) {
	version, ok = f.heard, f.told
	f.heard, f.told = 0, false
	return version, ok
}
func (f *fake) Ack(upTo push.Seq, s []push.Seq) { f.acked, f.skipped = upTo, slices.Clone(s) }

// nodeOf keeps the feed's Ack and the node's apart.
type nodeOf struct{ *fake }

func (n nodeOf) Stored(_, _ string, version uint64) { n.told, n.heard = true, version }

func (n nodeOf) Ack(_ context.Context, _ string, a push.Ack) error {
	if n.ackErr == nil {
		n.ackedBy = append(n.ackedBy, a)
	}
	return n.ackErr
}

func (n nodeOf) Subscribe(_ context.Context, _ string, after push.Seq) (Feed, error) {
	n.subscribed = append(n.subscribed, after)
	n.next = 0
	for n.next < len(n.entries) && n.entries[n.next].Seq <= after {
		n.next++
	}
	return n.fake, n.subErr
}

func (f *fake) DeadLetter(_ context.Context, _ string, _ push.Seq, l push.Failure) error {
	if f.letterErr == nil {
		f.letters = append(f.letters, l)
	}
	return f.letterErr
}

func (f *fake) CountStart(_ context.Context, _ string, e push.Entry, most int) (int, error) {
	before := f.starts[e.Seq]
	if f.startErr == nil && before < most {
		f.starts[e.Seq]++
	}
	return before, f.startErr
}

func (f *fake) ClearStarts(_ context.Context, _ string, e push.Entry) error {
	if f.clearErr == nil {
		f.cleared = append(f.cleared, e.Seq)
		delete(f.starts, e.Seq)
	}
	return f.clearErr
}

func (f *fake) Term() uint64     { return f.term }
func (f *fake) Replicated() bool { return f.replicas }

// States.

func (f *fake) CreateConn(_ context.Context, r push.ConnRecord, _ time.Duration) error {
	if f.createErr == nil {
		f.conn = r
		f.created++
	}
	return f.createErr
}

func (f *fake) LoadView(context.Context, string, string) (push.ViewRecord, error) {
	return f.view, f.loadErr
}

func (f *fake) Commit(_ context.Context, c push.Commit) (push.CommitResult, error) {
	if len(f.commitErr) > 0 {
		err := f.commitErr[0]
		f.commitErr = f.commitErr[1:]
		return push.CommitResult{View: f.view}, err
	}
	if c.View != nil && c.View.State != nil && f.rivals > 0 {
		f.rivals--
		f.write(map[string]string{"A": f.rival}, f.view.Cursor)
	}
	if c.View != nil && c.View.Version != f.view.Version {
		return push.CommitResult{View: f.view}, push.ErrStateConflict
	}
	f.commits++
	if c.Conn.Conn != "" {
		f.conn = c.Conn
	}
	if c.View != nil && c.View.State != nil {
		f.view = *c.View
		f.view.Version++
	}
	return push.CommitResult{View: f.view}, nil
}

// write stores shared fields as another page does.
func (f *fake) write(fields map[string]string, cursor push.Seq) {
	f.t.Helper()
	v, err := decodeView(f.Names(), f.view)
	if err != nil {
		f.t.Fatal(err)
	}
	for i, name := range f.Names() {
		if text, ok := fields[name]; ok {
			v.Fields[i], _ = json.Marshal(text) // a string
		}
	}
	v.Cursor, v.Version = max(cursor, v.Cursor), v.Version+1
	if f.view, err = v.encode(f.Names()); err != nil {
		f.t.Fatal(err)
	}
}

// Page.

func (f *fake) Changed()                            { f.changed++ }
func (f *fake) Applied(push.Entry)                  { f.applied++ }
func (f *fake) Subscribed(context.Context, Effects) {}
func (f *fake) GaveUp(e push.Entry, _ string)       { f.gaveUp = append(f.gaveUp, e.Action) }
func (f *fake) Over(end End)                        { f.over = append(f.over, end) }
func (f *fake) Happened(_ context.Context, x []Effects) {
	for _, fx := range x {
		e, _ := fx.(fakeEffects)
		f.happened = append(f.happened, string(e))
	}
}

func (f *fake) Document(s Snapshot, _ *Receipt) ([]byte, error) { return s.Encoded, nil }

// Meter.

func (f *fake) count(what string)             { f.counted = append(f.counted, what) }
func (f *fake) Committed(outcome string)      { f.count("commit " + outcome) }
func (f *fake) Retried()                      { f.count("retried") }
func (f *fake) DeadLettered(r push.Reason)    { f.count("dead " + string(r)) }
func (f *fake) Skipped(Key, push.Entry, bool) { f.count("skipped") }
func (f *fake) Repeated()                     { f.count("repeated") }

func (f *fake) program() programOf { return programOf{f, fakeFields{names: f.Names()}} }

func key() Key { return Key{Session: "session", View: "view", Conn: "conn"} }

// mounted is a page mounted anew on the fake's mailbox, whose pending pushes are
// those of the arguments.
func (f *fake) mounted(pending ...push.Entry) *Session {
	f.t.Helper()
	m := f.mount(pending...)
	s := NewSession(f.Deps, key(), f.program(), f, Start{State: m.State, Snapshot: Snapshot{Encoded: m.Encoded}, Feed: f, Epoch: "epoch", Mount: m})
	f.changed = 0
	return s
}

func (f *fake) mount(pending ...push.Entry) *Mount {
	f.t.Helper()
	m, err := NewMount(f.t.Context(), f.Deps, key(), f.program(), fakeState{}, func(context.Context) (push.Backlog, error) {
		b := push.Backlog{Entries: pending, Epoch: "epoch"}
		if n := len(pending); n > 0 {
			b.Cursor = pending[n-1].Seq
		}
		return b, nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

// resumed is a page that comes back at a place.
func (f *fake) resumed(at int) *Session {
	f.t.Helper()
	b, err := f.Encode(fakeState{})
	if err != nil {
		f.t.Fatal(err)
	}
	return NewSession(f.Deps, key(), f.program(), f, Start{State: fakeState{}, Snapshot: Snapshot{Encoded: b, Cursor: seqOf(at)}, Feed: f, Epoch: "epoch", Fence: 1, Created: true})
}

// all applies what there is now.
func (f *fake) all(s *Session) {
	f.t.Helper()
	for range 100 {
		if !s.Next(f.t.Context()) {
			return
		}
	}
	f.t.Fatal("pushes without end")
}

func stateOf(s *Session) fakeState {
	st, _ := s.State().(fakeState)
	return st
}
