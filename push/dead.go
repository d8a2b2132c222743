package push

import (
	"context"
	"time"
)

// Reason says why a push was given up.
type Reason string

// The reasons.
const (
	// ReasonError: the action kept returning an error.
	ReasonError Reason = "error"
	// ReasonPanic: the action kept panicking.
	ReasonPanic Reason = "panic"
	// ReasonTimeout: the action kept exceeding its time.
	ReasonTimeout Reason = "timeout"
	// ReasonRejected: the action returned an error that wraps ErrReject.
	ReasonRejected Reason = "rejected"
	// ReasonDecode: the stored entry cannot be read.
	ReasonDecode Reason = "decode"
	// ReasonCrashLoop: the process died each time the push was started.
	ReasonCrashLoop Reason = "crash-loop"
	// ReasonExpired: nobody came for it within its lifetime.
	ReasonExpired Reason = "expired"
	// ReasonUnknownAction: it expired and no view that was ever mounted in
	// the session has its action.
	ReasonUnknownAction Reason = "unknown-action"
)

// Failure says why an entry is given up.
type Failure struct {
	Reason   Reason
	Attempts int
	Node     string
	// Error is the last error's text, cut at 1 KiB.
	Error string
}

// DeadLetter is a push that was given up.
type DeadLetter struct {
	// ID names the dead letter.
	ID string
	// At is when it was given up.
	At    time.Time
	Entry Entry
	Failure
}

// DeadQuery selects dead letters; zero fields select all.
type DeadQuery struct {
	Session string
	Reason  Reason
	// After continues a listing behind the dead letter of this ID.
	After string
	// Limit bounds a listing. Defaults to 100; at most 1,000.
	Limit int
}

// DeadLetters is the operator's view of what was given up.
type DeadLetters interface {
	// List returns the dead letters that q selects, oldest first.
	List(ctx context.Context, q DeadQuery) ([]DeadLetter, error)
	// Get returns one dead letter, or ErrNotFound.
	Get(ctx context.Context, id string) (DeadLetter, error)
	// Replay appends the push again under an ID derived from the dead
	// letter's, and removes the dead letter. A repeated Replay stores nothing
	// twice.
	Replay(ctx context.Context, id string) (Receipt, error)
	// Purge removes what q selects (q.Limit does not apply) and returns how
	// many.
	Purge(ctx context.Context, q DeadQuery) (int, error)
	// Count returns the number of dead letters.
	Count(ctx context.Context) (int, error)
}
