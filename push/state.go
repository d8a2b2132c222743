package push

import (
	"context"
	"math/rand/v2"
	"time"
)

// States keeps what connections and views must not lose: a state and the
// cursor of the last push that went into it, in one record, changed in one
// compare-and-set. That is what makes a push's effect on a state happen exactly
// once, whatever dies when. All methods are safe for concurrent use.
type States interface {
	// CreateConn stores a new connection's record with Fence zero.
	CreateConn(ctx context.Context, r ConnRecord, ttl time.Duration) error

	// TakeConn raises the record's fence and returns it, so that commits by
	// whoever held it before fail with ErrFenced. It returns ErrNoState when
	// there is none. ttl is renewed.
	TakeConn(ctx context.Context, session, conn string, ttl time.Duration) (ConnRecord, error)

	// LoadView returns the shared state of a (session, view), or a zero record
	// with nil error when there is none yet.
	LoadView(ctx context.Context, session, view string) (ViewRecord, error)

	// Commit stores a connection's state, and its view's when c.View is set,
	// in one atomic step. It fails with ErrFenced when the connection's fence
	// has moved on, with ErrNoState when its record is gone, and with
	// ErrStateConflict when the view's version is not c.View.Version; nothing
	// is stored then, and the result holds the current view record. When it stores
	// a view's state, it gives the nodes that hold connections of the session a
	// hint (Notice.View).
	Commit(ctx context.Context, c Commit) (CommitResult, error)

	// DropConn removes a connection's record. No record is no error.
	DropConn(ctx context.Context, session, conn string) error
}

// Filled is a States that knows how full it is, so that its users can leave room
// for those who are there before it refuses to write. It is safe for concurrent
// use.
type Filled interface {
	// Full returns which share of the memory that it may take the fullest of the
	// store's servers has taken: 0.5 for half of it, 1 for all. It is 0 when no
	// bound is set or none is told.
	Full(ctx context.Context) (float64, error)
}

// ConnRecord is a connection's durable state.
type ConnRecord struct {
	Session, Conn string
	// View is the name of the view it shows.
	View string
	// State is the view's state as JSON.
	State []byte
	// Cursor is the last push that went into State.
	Cursor Seq
	// Client is the number of the last client message that went into State.
	Client uint64
	// Fence rises with each take-over, as a view's Version does.
	Fence uint64
	// Epoch is the store's epoch that Cursor belongs to.
	Epoch string
}

// ViewRecord is the state that all connections of one view in one session
// share: the fields that an application marked as persistent.
type ViewRecord struct {
	// State is a JSON object of the shared fields, nil when there is none.
	State []byte
	// Cursor is the last push that went into State.
	Cursor Seq
	// Version rises with each change, by a step that the store takes at random
	// (Raise); zero means that there is no record.
	Version uint64
}

// maxStep keeps numbers below 2^53, which Lua counts to, for as many changes as
// a record can have in a lifetime.
const maxStep = 1 << 24

// Raise returns the number behind n, for a store's versions and fences. The step
// is random, so a store that a failover has put back and the one that was lost
// never agree by chance, however often both were changed since: who knows the
// lost one is told of a conflict.
func Raise(n uint64) uint64 {
	return n + 1 + rand.Uint64N(maxStep) //nolint:gosec // it need only differ from another server's
}

// Commit is one atomic change. See States.Commit.
type Commit struct {
	// Conn is the record to store; its Fence is the one that TakeConn gave.
	// An empty Conn.Conn commits the view alone (a request without
	// JavaScript has no connection).
	Conn ConnRecord
	// ConnTTL is the record's new lifetime.
	ConnTTL time.Duration
	// View, when not nil, is the shared state to store; its Version is the one
	// that was loaded. Without State the record stays as it is, and the commit
	// fails if it is not at Version any more.
	View *ViewRecord
	// ViewTTL is the shared state's new lifetime.
	ViewTTL time.Duration
}

// CommitResult tells the view's version after a commit, or the record that
// stood in its way.
type CommitResult struct {
	View ViewRecord
}
