package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"lastmile/push"
)

// ErrStateSize means that a state exceeds its bound.
var ErrStateSize = errors.New("live: state too large")

// ErrLoad means that the fields of a state that are not stored could not be
// loaded. What the page has and what it has to store stays as it was.
var ErrLoad = errors.New("live: fields cannot be loaded")

// Feed yields a session's pushes to one page. *push.Feed is one.
type Feed interface {
	Ready() <-chan struct{}
	Next() (push.Entry, bool)
	CaughtUp() bool
	Redelivered(e push.Entry) bool
	Unacked() []push.Entry
	Ack(upTo push.Seq, skipped []push.Seq)
	Flush()
	Acked() push.Seq
	Epoch() string
	Err() error
	Close()
	// Watch has Stored tell of changes of a view's record, and Ready with them.
	Watch(view string)
	Stored() (version uint64, ok bool)
}

// Node is what a page needs of the process's push.Node.
type Node interface {
	Subscribe(ctx context.Context, session string, after push.Seq) (Feed, error)
	Ack(ctx context.Context, session string, a push.Ack) error
	DeadLetter(ctx context.Context, session string, seq push.Seq, f push.Failure) error
	CountStart(ctx context.Context, session string, e push.Entry, most int) (before int, err error)
	ClearStarts(ctx context.Context, session string, e push.Entry) error
	Term() uint64
	Replicated() bool
	Stored(session, view string, version uint64)
}

// States is what a page needs of the store of states.
type States interface {
	CreateConn(ctx context.Context, r push.ConnRecord, ttl time.Duration) error
	LoadView(ctx context.Context, session, view string) (push.ViewRecord, error)
	Commit(ctx context.Context, c push.Commit) (push.CommitResult, error)
}

// Source says what an entry is.
type Source int

// A push is in the mailbox. A topic message is not: it has no place, and nobody
// brings it again.
const (
	FromPush Source = iota
	FromTopic
)

// Effects are what a run did besides changing the state.
type Effects interface {
	// Visible reports whether the user or the page's scripts notice them.
	Visible() bool
}

// Outcome is a run's next state in both forms, and its effects, nil for none.
type Outcome struct {
	State   any
	Encoded []byte
	Effects Effects
}

// Fields reads and writes the fields of a state that all pages of the session's
// view share.
type Fields interface {
	Names() []string
	Of(state any) (Values, error)
	With(state any, v Values) any
	// Defaults are those of the initial state.
	Defaults() Values
}

// Program is the page's code and its state's form.
type Program interface {
	Handles(action string) bool
	// Run runs an action. With an error it returns the effects that a failed run
	// may have, if it is not repeated.
	Run(ctx context.Context, state any, e push.Entry, from Source) (Outcome, error)
	// Failed reports a failed run, and tells its reason.
	Failed(ctx context.Context, e push.Entry, from Source, attempt int, err error) push.Reason
	Encode(state any) ([]byte, error)
	Decode(b []byte) (any, error)
	// Load fills the fields of a decoded state that are not stored. Its error
	// wraps ErrLoad.
	Load(ctx context.Context, state any) (any, error)
	// Flat says that a failed run cannot have changed the state it was given.
	Flat() bool
	Fields() Fields
}

// End is why a Session cannot go on.
type End int

// The ends.
const (
	// EndFenced: another connection has taken the page over.
	EndFenced End = iota
	// EndGone: the record is gone.
	EndGone
	// EndUnstorable: state or shared fields cannot be encoded or merged.
	EndUnstorable
	// EndTooLarge: other pages' shared fields do not fit into the state.
	EndTooLarge
	// EndStateLost: a failed action's changes cannot be undone.
	EndStateLost
)

// Page is told what a Session does.
type Page interface {
	// Changed: the state may look different.
	Changed()
	// Applied: a push went into the state.
	Applied(e push.Entry)
	// Subscribed: a run's effects may hold subscriptions, which begin at once, and
	// what is stored with its state.
	Subscribed(ctx context.Context, fx Effects)
	// Happened: the state is stored, so its effects are to happen.
	Happened(ctx context.Context, fx []Effects)
	// GaveUp: a push is a dead letter.
	GaveUp(e push.Entry, why string)
	// Over: the Session cannot go on. The first reason counts.
	Over(end End)
	// Document returns the stored form of a state, with what belongs to it.
	Document(s Snapshot, owed *Receipt) ([]byte, error)
}

// Meter counts.
type Meter interface {
	Committed(outcome string)
	Retried()
	DeadLettered(reason push.Reason)
	Skipped(k Key, e push.Entry, first bool)
	Repeated()
}

// Config bounds what a page does; see live.Config.
type Config struct {
	ActionTimeout, StoreTimeout, CommitDelay time.Duration
	ResumeTTL, SharedTTL                     time.Duration
	RetryTries                               int
	RetryBase, RetryMax                      time.Duration
}

// Deps is what the pages of a process share.
type Deps struct {
	Node   Node
	States States
	Gate   *Gate
	Counts *Counts
	Meter  Meter
	Log    *slog.Logger
	Config
}

// Key names a page: a connection (empty for a form without JavaScript) on a
// view, in a session.
type Key struct{ Session, View, Conn string }

// log adds the page to a line.
func (d *Deps) log(ctx context.Context, level slog.Level, k Key, text string, args ...any) {
	if d.Log.Enabled(ctx, level) {
		d.Log.Log(ctx, level, text, append([]any{"session", push.Redact(k.Session), "view", k.View}, args...)...) //nolint:sloglint // each caller has a text of its own that is constant
	}
}

// store bounds a call to the store.
func (d *Deps) store(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.StoreTimeout)
}

// Receipt is what a page acknowledges from its mount once it has arrived.
type Receipt struct {
	UpTo    push.Seq   `json:"u"`
	Skipped []push.Seq `json:"s,omitempty"`
}

// Values holds the shared fields' JSON, in the order of their names. A nil
// element is a field that the record lacks (an older version wrote it).
type Values []json.RawMessage
