package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

// follow is what a job's end sets off. It is stored with the job, and acted on
// before its terminal event counts as delivered, so it happens exactly once.
type follow struct {
	// Next are the steps after this job, when it completes.
	Next []Step `json:"n,omitempty"`
	// Batch is the batch that the job belongs to.
	Batch string `json:"b,omitempty"`
	// Chain begins the IDs of the steps, and At is the job's place among them.
	// Without them the job is a chain's first.
	Chain string `json:"c,omitempty"`
	At    int    `json:"i,omitempty"`
}

// Step is a job to be enqueued later, made by [Kind.Step]. Its JSON may be
// stored.
type Step struct {
	spec stepSpec
	err  error
}

// MarshalJSON implements json.Marshaler.
func (s Step) MarshalJSON() ([]byte, error) { return json.Marshal(s.spec) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Step) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.spec) }

// stepSpec is what is stored of a step.
type stepSpec struct {
	Kind     string            `json:"k"`
	Args     json.RawMessage   `json:"a,omitempty"`
	Bytes    []byte            `json:"b,omitempty"` // arguments in another codec's form
	Queue    string            `json:"q"`
	MaxRetry int               `json:"r"`
	Opts     jobOptions        `json:"o"`
	Session  string            `json:"s,omitempty"`
	Actions  map[string]string `json:"c,omitempty"`
	In       time.Duration     `json:"d,omitempty"`
}

// maxSteps bounds chains and batches.
const maxSteps = 1000

// Step prepares a job of the kind for [Then] or [Client.Batch]. It takes no ID,
// Unique, ProcessAt or Then: its ID derives from what it follows, and that has
// the steps.
func (k *Kind[A, R]) Step(args A, opts ...Option) Step {
	s, err := k.def.with(opts)
	if err == nil && (s.id != "" || s.unique != k.def.base.unique || !s.at.IsZero() || s.follow != nil) {
		err = fmt.Errorf("%w: a step takes no ID, Unique, ProcessAt or Then", ErrInvalid)
	}
	payload, bad := k.def.encode(args)
	step := Step{err: cmp.Or(k.def.err, err, bad), spec: stepSpec{
		Kind: k.def.name, Queue: s.queue, MaxRetry: s.maxRetry,
		Opts: jobOptions{
			Timeout: s.timeout, Retention: s.retention, Base: s.backoffBase, Max: s.backoffMax, Limits: s.limits, Codec: s.codec(),
		},
		Session: s.session, Actions: s.actions, In: s.in,
	}}
	if step.spec.Opts.Codec == "" {
		step.spec.Args = payload
	} else {
		step.spec.Bytes = payload
	}
	return step
}

func (s *stepSpec) payload() []byte {
	if s.Bytes != nil {
		return s.Bytes
	}
	return s.Args
}

// Then enqueues the steps one after the other, each when the one before it has
// completed. A job that ends otherwise ends the chain. The ID of a step is the
// one of the first job with "+" and its place, such as "import+1". A job that is
// opened again has steps of its own after it.
func Then(steps ...Step) Option {
	return Option{func(s *settings) { s.follow = &follow{Next: steps} }}
}

// Err reports what is wrong with the step's definition, options or arguments.
func (s Step) Err() error { return s.err }

func (f *follow) check() error {
	if f == nil {
		return nil
	}
	if len(f.Next) > maxSteps {
		return fmt.Errorf("%w: a chain has at most %d steps", ErrInvalid, maxSteps)
	}
	for _, s := range f.Next {
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

// proceed does what a job's end sets off. Every step may be repeated.
func (c *Client) proceed(ctx context.Context, e *Event, spec string) error {
	if spec == "" {
		return nil
	}
	var f follow
	if err := json.Unmarshal([]byte(spec), &f); err != nil {
		return fmt.Errorf("jobs: read what follows job %q: %w", e.ID, err)
	}
	if len(f.Next) > 0 && e.State == StateCompleted {
		id, rest := f.step(e)
		return c.enqueueStep(ctx, f.Next[0], id, rest)
	}
	if f.Batch != "" {
		return c.endMember(ctx, f.Batch, e)
	}
	return nil
}

// step names the job after the one that ended, and tells what follows it. The
// place counts within the whole chain, so names stay as short as the first one;
// a later generation goes its own way, past the jobs that exist.
func (f *follow) step(e *Event) (id string, rest *follow) {
	chain, at := cmp.Or(f.Chain, e.ID), f.At+1
	if e.Gen > 1 {
		chain = e.ID + "+g" + strconv.Itoa(e.Gen)
	}
	if len(chain) > maxIDLen-16 {
		chain = "c" + digest(chain)
	}
	if len(f.Next) > 1 || f.Batch != "" {
		rest = &follow{Next: f.Next[1:], Batch: f.Batch, Chain: chain, At: at}
	}
	return chain + "+" + strconv.Itoa(at), rest
}

// EnqueueStep enqueues a step under the ID: repeating it is safe. See
// [Kind.Enqueue] for its errors.
func (c *Client) EnqueueStep(ctx context.Context, id string, s Step) (Handle, error) {
	if s.err != nil {
		return Handle{}, s.err
	}
	if id == "" || len(id) > maxIDLen || !tasks.ValidJob(id) {
		return Handle{}, fmt.Errorf("%w: ID %q", ErrInvalid, id)
	}
	return c.putStep(ctx, s, id, nil)
}

// enqueueStep is part of another job's end: what can never be enqueued must not
// keep that end from being settled, and middleware that panics must not take the
// watchdog with it.
func (c *Client) enqueueStep(ctx context.Context, s Step, id string, f *follow) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v}
			c.log.ErrorContext(ctx, "middleware panicked for a step", "id", id, "action", s.spec.Kind, "error", err, "stack", string(debug.Stack()))
		}
	}()
	_, err = c.putStep(ctx, s, id, f)
	if errors.Is(err, ErrInvalid) {
		c.log.ErrorContext(ctx, "step refused for good", "id", id, "action", s.spec.Kind, "error", err)
		return nil
	}
	return err
}

func (c *Client) putStep(ctx context.Context, step Step, id string, f *follow) (Handle, error) {
	s := &step.spec
	set := settings{
		queue: s.Queue, maxRetry: s.MaxRetry, timeout: s.Opts.Timeout, retention: s.Opts.Retention,
		backoffBase: s.Opts.Base, backoffMax: s.Opts.Max, limits: s.Opts.Limits,
		session: s.Session, actions: s.Actions, in: s.In, id: id, follow: f,
	}
	if s.Opts.Codec != "" {
		set.codecs = []Codec{{Name: s.Opts.Codec}}
	}
	return c.pass(ctx, &Work{ID: id, Kind: s.Kind, Queue: s.Queue, Args: s.payload(), set: &set})
}

// Batch enqueues the steps side by side, and then finally once all of them have
// ended, however they ended: [Client.BatchOf] tells its handler. A step's own
// failure does not stop the others. Repeating the call with the same ID enqueues
// nothing twice.
func (c *Client) Batch(ctx context.Context, id string, steps []Step, finally Step) error {
	if id == "" || len(id) > maxIDLen-16 || !tasks.ValidJob(id) || len(steps) == 0 || len(steps) > maxSteps {
		return fmt.Errorf("%w: a batch needs an ID of at most %d bytes without '~', and 1 to %d steps", ErrInvalid, maxIDLen-16, maxSteps)
	}
	for _, s := range append(slices.Clip(steps), finally) {
		if s.err != nil {
			return fmt.Errorf("jobs: batch %q: %w", id, s.err)
		}
	}
	spec, err := json.Marshal(finally)
	if err != nil {
		return fmt.Errorf("jobs: batch %q: %w", id, err)
	}
	life := batchLife + finally.spec.Opts.Retention
	key := c.batch(id)
	_, err = c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error { // or it might stay for ever
		p.HSet(ctx, key, "n", len(steps), "finally", spec, "life", msOf(life))
		p.PExpire(ctx, key, life)
		return nil
	})
	if err != nil {
		return fmt.Errorf("jobs: batch %q: %w", id, err)
	}
	for i, s := range steps {
		if _, err := c.putStep(ctx, s, id+":"+strconv.Itoa(i), &follow{Batch: id}); err != nil {
			return fmt.Errorf("jobs: batch %q: step %d: %w", id, i, err)
		}
	}
	return nil
}

// batchLife is how long a batch may take.
const batchLife = 30 * 24 * time.Hour

func (c *Client) endMember(ctx context.Context, id string, e *Event) error {
	n, err := c.run(ctx, "member", []string{c.batch(id)}, e.ID, string(e.State)).Int()
	if err != nil {
		return fmt.Errorf("jobs: count job %q in batch %q: %w", e.ID, id, err)
	}
	if n != 1 {
		return nil
	}
	spec, err := c.rdb.HGet(ctx, c.batch(id), "finally").Result()
	if err != nil {
		return fmt.Errorf("jobs: read batch %q: %w", id, err)
	}
	var s Step
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return fmt.Errorf("jobs: read batch %q: %w", id, err)
	}
	return c.enqueueStep(ctx, s, id+":finally", nil)
}

// BatchOf returns what is known of the members of a batch, in the order of its
// steps. Members whose retention has passed are left out.
func (c *Client) BatchOf(ctx context.Context, id string) ([]Info, error) {
	n, err := c.rdb.HGet(ctx, c.batch(id), "n").Int()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("%w: batch %q", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: read batch %q: %w", id, err)
	}
	infos := make([]Info, 0, n)
	for i := range n {
		info, err := c.Get(ctx, id+":"+strconv.Itoa(i))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}
