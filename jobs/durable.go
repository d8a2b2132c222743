package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of durable steps. All of a job's results together are what a run has to
// read before it goes on, so they are bounded too.
const (
	maxDurable      = 1000
	maxDurableBytes = 1 << 20
	maxStepName     = 128
)

// StepOption is an option of [Do].
type StepOption struct{ set func(*stepSettings) }

type stepSettings struct {
	former    []string
	unordered bool
}

// Renamed says what a step was called in an earlier version of the program, so that
// what it came to there is found.
func Renamed(former string) StepOption {
	return StepOption{func(s *stepSettings) { s.former = append(s.former, former) }}
}

// Unordered says that a step's place among the others does not count: it runs beside
// others, it is done in some runs only, or a later version of the program has put it
// in between or moved it.
func Unordered() StepOption {
	return StepOption{func(s *stepSettings) { s.unordered = true }}
}

// Final says that an error of a step is what the step came to: it is stored, and a
// later run gets it again in place of trying once more. Its text is kept to 512
// bytes, and a [UserError] stays one. Final(nil) is nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// Do runs a step of a job and stores what it came to before it returns, so that a
// later run of the job (after a crash, a retry, a snooze or a deploy) gets the
// result in place of doing the step again. ctx is the one that the handler was
// given, or one made from it.
//
// The function runs once for each result that is stored: again only if it failed,
// or if the worker died between the effect and the storage. [StepID] names the step
// for services that can tell a repeat. T goes through JSON, at most 48 KiB of it; a
// job has at most 1,000 steps, and 1 MiB of results. Storing takes one round trip to
// Redis, the first step of a run a second one, to read what there is.
//
// A step is known by its name, at most 128 bytes without "#", and by how often the
// name was met before in the run: in a loop the third "mail" is the third one. The
// steps of a run come in an order that every run repeats, one behind the other. One
// that a deploy has renamed or moved is found out: Do returns [ErrStepChanged] before
// it does anything, for nobody can tell whether it was done under another name.
// [Renamed] and [Unordered] say what is meant; steps that run side by side need
// Unordered. Steps that were stored and not asked for are named in the log when the
// handler returns. A result of another type is [ErrStepType].
//
// Errors are not stored, unless by [Final]. A run that has lost the job gets
// [ErrFenced], and stores nothing. Each generation of a job begins without steps.
func Do[T any](ctx context.Context, name string, fn func(ctx context.Context) (T, error), opts ...StepOption) (T, error) {
	var zero T
	var set stepSettings
	for _, o := range opts {
		o.set(&set)
	}
	s, err := enterStep(ctx, name, shapeOf[T](), set)
	if err != nil {
		return zero, fmt.Errorf("jobs: step %q: %w", name, err)
	}
	defer s.leave()
	if s.stored != nil {
		return resultOf[T](s)
	}
	value, err := fn(context.WithValue(ctx, stepKey{}, s))
	final, ok := errors.AsType[*finalError](err)
	if err != nil && !ok {
		return zero, err
	}
	if ok {
		s.done.Code, s.done.Error = public(final.err)
		if _, isPublic := errors.AsType[*userError](final.err); !isPublic {
			s.done.Code, s.done.Error = "", shorten(final.err.Error(), maxMessage)
		}
		s.done.Failed = true
	} else if s.done.Result, err = json.Marshal(value); err != nil {
		return zero, Discard(fmt.Errorf("jobs: step %q: %w: its result cannot be stored: %w", name, ErrInvalid, err))
	}
	if err := s.store(ctx); err != nil {
		return zero, fmt.Errorf("jobs: step %q: %w", name, err)
	}
	return resultOf[T](s)
}

// resultOf returns what the step came to, as every run gets it: through JSON.
func resultOf[T any](s *step) (v T, err error) {
	d := s.stored
	switch {
	case d.Failed && d.Code != "":
		return v, UserError(d.Code, d.Error)
	case d.Failed:
		return v, errors.New(d.Error)
	}
	if err := json.Unmarshal(d.Result, &v); err != nil {
		return v, fmt.Errorf("jobs: step %q: %w: %w", s.name, ErrStepType, err)
	}
	return v, nil
}

type stepKey struct{}

// StepID names the step that ctx belongs to: the same in every run of the job's
// generation, and no other step's. It is an idempotency key for outside services.
// It is empty outside a step.
func StepID(ctx context.Context) string {
	s, ok := ctx.Value(stepKey{}).(*step)
	if !ok {
		return ""
	}
	return s.id()
}

// DoneStep is a step that a job has stored.
type DoneStep struct {
	// Name is the step's, with "#" and a number from the second of a name on.
	Name string
	// At is when it began, by Redis's clock, and Took how long it was.
	At   time.Time
	Took time.Duration
	// Result is what it came to, as JSON, or Error why it failed for good.
	Result json.RawMessage
	Error  string
}

// DoneSteps returns the steps that a job has stored in its latest generation, in the
// order in which they began. A job that is unknown has none.
func DoneSteps(ctx context.Context, c *Client, id string) ([]DoneStep, error) {
	m, err := c.rdb.HGetAll(ctx, c.durable(id)).Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: read steps of job %q: %w", id, err)
	}
	return doneSteps(m)
}

// stepName names the nth step of a name.
func stepName(name string, n int) string {
	if n == 1 {
		return name
	}
	return name + "#" + strconv.Itoa(n)
}

func checkStepName(name string) error {
	if name == "" || len(name) > maxStepName || strings.Contains(name, "#") {
		return fmt.Errorf("%w: a step's name has 1 to %d bytes and no #", ErrInvalid, maxStepName)
	}
	return nil
}
