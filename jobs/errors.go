package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrNotFound means that there is no such job: it never was, or its
	// retention has passed.
	ErrNotFound = errors.New("jobs: not found")

	// ErrEnded means that the job is over, in another state than asked for.
	ErrEnded = errors.New("jobs: job has ended")

	// ErrOpen means that the job is not over and cannot be run again yet.
	ErrOpen = errors.New("jobs: job has not ended")

	// ErrInvalid means that a definition, an option or arguments break their
	// form or bound. Repeating the call cannot help.
	ErrInvalid = errors.New("jobs: invalid")

	// ErrFenced means that another run has the job: this one may store nothing more.
	ErrFenced = errors.New("jobs: another run has the job")

	// ErrStepChanged means that a run comes to another step than a former one did
	// in the same place: the code has changed, or does not do the same twice. See Do.
	ErrStepChanged = errors.New("jobs: another step was here")

	// ErrStepType means that what is stored of a step is of another type.
	ErrStepType = errors.New("jobs: the step's result is of another type")

	// ErrCancelled is the cause of a handler's context when the job was
	// cancelled.
	ErrCancelled = errors.New("jobs: cancelled")

	// ErrShutdown is the cause of a handler's context when the worker stops
	// and its patience is over. The job runs again elsewhere; the attempt is
	// not counted.
	ErrShutdown = errors.New("jobs: worker is shutting down")
)

// errTimeout is the cause of a handler's context when its time is up.
var errTimeout = fmt.Errorf("jobs: timeout: %w", context.DeadlineExceeded)

// errSuperseded is the cause when another execution owns the job: this one has
// no say any more.
var errSuperseded = errors.New("jobs: superseded by another execution")

// errChanged says that somebody else has opened a job in the same moment.
var errChanged = fmt.Errorf("%w: it changed meanwhile", ErrOpen)

// Codes of failures that the package itself reports.
const (
	codeError     = "error"
	codePanic     = "panic"
	codeTimeout   = "timeout"
	codeCrashed   = "crashed"
	codeArgs      = "bad_args"
	codeUnknown   = "unknown_kind"
	codeFormat    = "bad_format"
	codeTooLarge  = "result_too_large"
	codeResult    = "bad_result"
	codeLost      = "lost"
	codeArchived  = "archived"
	codeCancelled = "cancelled"
	codeRefused   = "refused"
)

// UserError returns an error whose code and message may be shown to the user.
// Of any other error that a handler returns the page learns only that the work
// failed; the full text goes to the log and to the dashboard. It may be wrapped.
// The page gets at most 64 bytes of the code and 512 of the message.
func UserError(code, message string) error { return &userError{code, message} }

type userError struct{ code, message string }

func (e *userError) Error() string { return e.message }

// Discard wraps an error so that the job fails at once, without the attempts
// it has left. Discard(nil) is nil.
func Discard(err error) error {
	if err == nil {
		return nil
	}
	return &discardError{err}
}

type discardError struct{ err error }

func (e *discardError) Error() string { return e.err.Error() }
func (e *discardError) Unwrap() error { return e.err }

// Snooze returns an error that puts the job off by d without using up an
// attempt, also on the last one.
func Snooze(d time.Duration) error { return &snoozeError{max(d, 0)} }

type snoozeError struct{ d time.Duration }

func (e *snoozeError) Error() string { return "snoozed for " + e.d.String() }

// retryError tells Asynq when the task is to come back.
type retryError struct {
	err     error
	delay   time.Duration
	failure bool
	owed    bool // what the run came to is not stored
}

// owed is a run that could not store what it came to.
func owed(err error) *retryError {
	return &retryError{err: err, delay: unsettledDelay, owed: true}
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// public returns the code and text of err that a page may see.
func public(err error) (code, message string) {
	if u, ok := errors.AsType[*userError](err); ok {
		return shorten(u.code, maxCode), shorten(u.message, maxMessage)
	}
	if c, ok := errors.AsType[*codedError](err); ok {
		return c.code, c.message
	}
	if _, ok := errors.AsType[*panicError](err); ok {
		return codePanic, "internal error"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return codeTimeout, "took too long"
	}
	return codeError, "internal error"
}

// shorten cuts a text to n bytes of whole characters, an ellipsis included.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const ellipsis = "…"
	return strings.ToValidUTF8(text[:n-len(ellipsis)], "") + ellipsis
}

// codedError is a failure that the package reports in its own words.
type codedError struct {
	code, message string
	err           error
}

func (e *codedError) Error() string { return e.message + ": " + e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }
