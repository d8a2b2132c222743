package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Kind is a type of work with arguments A and result R. It is made
// by [Define], bound to a client by [Kind.With] where it is enqueued, and
// handled by [Kind.Handle] in workers. Safe for concurrent use.
type Kind[A, R any] struct {
	def    *definition
	client *Client
}

// definition is what is known of a kind without its types.
type definition struct {
	name string
	base settings
	err  error
}

// Define names a kind and sets the defaults of its jobs. The name is stored
// with each job: letters, digits, '.', '_', '-' and '/', at most 128 bytes.
// What is wrong with a definition is reported by [Kind.Enqueue] and [Pool.Run].
func Define[A, R any](name string, opts ...Option) *Kind[A, R] {
	d := &definition{name: name, base: defaults()}
	for _, o := range opts {
		o.apply(&d.base)
	}
	if err := validKind(name); err != nil {
		d.err = err
	} else if err := d.base.check(); err != nil {
		d.err = fmt.Errorf("jobs: define kind %q: %w", name, err)
	}
	return &Kind[A, R]{def: d}
}

func validKind(name string) error {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/", r)
	}
	if name == "" || len(name) > maxNameLen || strings.ContainsFunc(name, func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("%w: kind name %q", ErrInvalid, name)
	}
	return nil
}

// Name returns the kind's name.
func (k *Kind[A, R]) Name() string { return k.def.name }

// With returns the kind bound to the client: its Enqueue needs no other.
func (k *Kind[A, R]) With(c *Client) *Kind[A, R] { return &Kind[A, R]{def: k.def, client: c} }

// Enqueue stores a job and returns once Redis has it. The client is the one
// that the kind is bound to, or in a handler its pool's, which the context
// carries.
//
// When ctx is the context of a live page's action itself, the job's ID derives
// from the action, so that one which runs again after a crash enqueues nothing
// twice, and the job is listed with the page's session. In a handler the ID
// derives from the handler's job, its generation, and the kind and arguments of
// the new one, so that a run after a failed one enqueues nothing twice either;
// jobs with equal arguments are counted. An [ID] of one's own goes before.
//
// The error wraps ErrInvalid when the call itself is wrong. Any other error
// says that the job will not run, or that its fate is unknown; repeating the
// call with the same [ID] is safe then.
func (k *Kind[A, R]) Enqueue(ctx context.Context, args A, opts ...Option) (Handle, error) {
	c := k.client
	if c == nil {
		c = clientOf(ctx)
	}
	if c == nil {
		return Handle{}, fmt.Errorf("%w: kind %q is bound to no client", ErrInvalid, k.def.name)
	}
	payload, err := k.def.encode(args)
	if err != nil {
		return Handle{}, fmt.Errorf("jobs: enqueue %q: %w", k.def.name, err)
	}
	h, err := c.enqueue(ctx, k.def, payload, opts)
	if err != nil {
		return h, fmt.Errorf("jobs: enqueue %q: %w", k.def.name, err)
	}
	return h, nil
}

// Handle registers the function that does the work, before [Pool.Run]. A
// second registration of the same name is an error that Run returns; one that
// comes after Run is logged, and has no effect.
//
// fn runs on its own goroutine. Its context ends when the job is cancelled
// (context.Cause is ErrCancelled), when its time is up (a
// context.DeadlineExceeded), and when the worker has stopped waiting for it
// (ErrShutdown; Job.Draining tells earlier). A panic is a failed attempt.
func (k *Kind[A, R]) Handle(p *Pool, fn func(ctx context.Context, j *Job[A]) (R, error)) {
	read := func(x *execution) *misfitError {
		a := new(A)
		if err := k.def.decode(x.opts.Codec, x.payload, a); err != nil {
			return misfit(codeArgs, "the job's arguments cannot be read here", err)
		}
		x.args = a
		return nil
	}
	p.register(k.def, handling{read, func(ctx context.Context, x *execution) ([]byte, error) {
		if x.args == nil {
			if why := read(x); why != nil {
				return nil, why
			}
		}
		j := &Job[A]{ID: x.id, Attempt: x.attempt, Attempts: x.limit, Gen: x.gen, x: x}
		if a, ok := x.args.(*A); ok {
			j.Args = *a
		}
		result, err := fn(ctx, j)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(result)
		switch {
		case err != nil:
			return nil, Discard(&codedError{codeResult, "the result cannot be stored", err})
		case len(b) > maxResult:
			return nil, tooLarge(len(b))
		}
		return b, nil
	}})
}

// Args reads the arguments of a job.
func (k *Kind[A, R]) Args(i Info) (A, error) {
	var a A
	if i.Kind != k.def.name {
		return a, fmt.Errorf("%w: job %q is of kind %q, not %q", ErrInvalid, i.ID, i.Kind, k.def.name)
	}
	if err := k.def.decode(i.codec, i.payload, &a); err != nil {
		return a, fmt.Errorf("jobs: read arguments of job %q: %w", i.ID, err)
	}
	return a, nil
}

// Result reads the result of a completed job.
func (k *Kind[A, R]) Result(i Info) (R, error) {
	var r R
	if i.Kind != k.def.name {
		return r, fmt.Errorf("%w: job %q is of kind %q, not %q", ErrInvalid, i.ID, i.Kind, k.def.name)
	}
	if i.State != StateCompleted {
		return r, fmt.Errorf("%w: job %q is %s", ErrOpen, i.ID, i.State)
	}
	if err := json.Unmarshal(i.Result, &r); err != nil {
		return r, fmt.Errorf("jobs: read result of job %q: %w", i.ID, err)
	}
	return r, nil
}

// Job is what a handler is given.
type Job[A any] struct {
	// Args are the job's arguments.
	Args A
	// ID names the job: a stable key for idempotent effects.
	ID string
	// Attempt counts the executions of this generation, from 1; Attempts is
	// how many there may be.
	Attempt, Attempts int
	// Gen counts how often the job was opened, from 1.
	Gen int

	x *execution
}

// Progress reports how far the work is, 0 to 1, with a short text. It returns
// at once; the latest value is stored and pushed at most ten times a second.
// Once the execution is over it does nothing. Safe for concurrent use.
func (j *Job[A]) Progress(fraction float64, message string) {
	if j.x != nil { // nobody listens: see FromContext
		j.x.report(fraction, message)
	}
}

// Draining is closed when the worker has been asked to stop: a handler that can
// finish or save its work soon should. The context ends later.
func (j *Job[A]) Draining() <-chan struct{} {
	if j.x == nil {
		return nil
	}
	return j.x.pool.draining
}
