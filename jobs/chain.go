package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

// follow is what a job's end sets off. It is stored with the job, and acted on
// before its terminal event counts as delivered, so it happens exactly once.
type follow struct {
	// Batch is the batch that the job belongs to, as its Member-th.
	Batch  string `json:"b,omitempty"`
	Member int    `json:"m,omitempty"`
	// Steps names the stored steps of the chain, Len of them, and At is the job's
	// place among them: how many have gone before it.
	Steps string `json:"s,omitempty"`
	Len   int    `json:"n,omitempty"`
	At    int    `json:"i,omitempty"`
	// Chain begins the IDs of the steps. Without it the job is the chain's first.
	Chain string `json:"c,omitempty"`

	next []Step // to be stored
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

// The bounds of chains and batches: steps, and bytes of them as stored.
const (
	maxSteps     = 1000
	maxStepBytes = 32 << 20
	// stepsChunk is how many bytes of steps go to Redis at once.
	stepsChunk = 1 << 20
)

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
			Timeout: s.timeout, Retention: s.retention, Base: s.backoffBase, Max: s.backoffMax, Deaths: s.deaths(), Limits: s.limits, Codec: s.codec(),
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
// opened again has steps of its own after it. The steps are stored once for the
// whole chain, 32 MiB of them at most.
func Then(steps ...Step) Option {
	return Option{func(s *settings) { s.follow = &follow{next: steps} }}
}

// Kind returns the name of the step's kind.
func (s Step) Kind() string { return s.spec.Kind }

// Queue returns the step's queue.
func (s Step) Queue() string { return s.spec.Queue }

// Retention returns how long the step's job can be looked up after its end.
func (s Step) Retention() time.Duration { return s.spec.Opts.Retention }

// Err reports what is wrong with the step's definition, options or arguments.
func (s Step) Err() error { return s.err }

func (f *follow) check() error {
	if f == nil {
		return nil
	}
	if len(f.next) > maxSteps {
		return fmt.Errorf("%w: a chain has at most %d steps", ErrInvalid, maxSteps)
	}
	for _, s := range f.next {
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

// encodeSteps writes steps as they are stored.
func encodeSteps(steps []Step) (texts []string, err error) {
	size := 0
	for i, s := range steps {
		b, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
		if size += len(b); size > maxStepBytes {
			return nil, fmt.Errorf("%w: steps of more than %d bytes", ErrInvalid, maxStepBytes)
		}
		texts = append(texts, string(b))
	}
	return texts, nil
}

// putSteps stores steps in a hash, under prefix and their places.
func (c *store) putSteps(ctx context.Context, key, prefix string, texts []string, life time.Duration) error {
	var fields []any
	size := 0
	flush := func() error {
		if len(fields) == 0 {
			return nil
		}
		_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error { // or it might stay for ever
			p.HSet(ctx, key, fields...)
			p.PExpire(ctx, key, life)
			return nil
		})
		fields, size = nil, 0
		return err
	}
	for i, text := range texts {
		fields = append(fields, prefix+strconv.Itoa(i), text)
		if size += len(text); size > stepsChunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// stepLife is how long a chain or a batch may take from one end of its jobs to
// the next.
const stepLife = 30 * 24 * time.Hour

// chains looks after the steps of all chains.
type chains struct{ c *Client }

// store stores the steps of a chain, before its first job.
func (h chains) store(ctx context.Context, t *task, s *settings) error {
	f := s.follow
	if f == nil || len(f.next) == 0 {
		return nil
	}
	texts, err := encodeSteps(f.next)
	if err != nil {
		return fmt.Errorf("jobs: chain %q: %w", t.id, err)
	}
	keep := s.retention
	for _, step := range f.next {
		keep = max(keep, step.spec.Opts.Retention)
	}
	name := rand.Text()
	key, life := h.c.steps(name), stepLife+keep+max(0, t.at.Sub(t.made))
	if err := h.c.putSteps(ctx, key, "", texts, life); err != nil {
		return fmt.Errorf("jobs: chain %q: %w", t.id, err)
	}
	if err := h.c.rdb.HSet(ctx, key, "keep", msOf(keep)).Err(); err != nil {
		return fmt.Errorf("jobs: chain %q: %w", t.id, err)
	}
	s.follow = &follow{Steps: name, Len: len(texts)}
	return nil
}

// drop removes the steps of a chain whose first job was there before.
func (h chains) drop(ctx context.Context, f *follow) {
	if f == nil || f.Steps == "" {
		return
	}
	if err := h.c.rdb.Del(ctx, h.c.steps(f.Steps)).Err(); err != nil {
		h.c.log.WarnContext(ctx, "steps of a chain stay until they expire", "error", err)
	}
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
	if f.Len > f.At {
		return chains{c}.next(ctx, e, &f)
	}
	if f.Batch != "" {
		return batches{c}.end(ctx, &f, e)
	}
	return nil
}

// next enqueues the step after a job of a chain. The steps stay for as long
// as a job of the chain can be opened again.
func (h chains) next(ctx context.Context, e *Event, f *follow) error {
	key := h.c.steps(f.Steps)
	v, err := h.c.rdb.HMGet(ctx, key, strconv.Itoa(f.At), "keep").Result()
	if err != nil {
		return fmt.Errorf("jobs: read chain of job %q: %w", e.ID, err)
	}
	text, found := v[0].(string)
	if !found {
		h.c.log.ErrorContext(ctx, "steps of a chain are gone", "id", e.ID, "action", e.Kind)
		return nil
	}
	keep, _ := v[1].(string)
	ms, _ := strconv.ParseInt(keep, 10, 64) // store wrote it
	life := time.Duration(ms) * time.Millisecond
	if e.State == StateCompleted {
		id, rest := f.step(e)
		if rest != nil {
			life += stepLife
		}
		var s Step
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return fmt.Errorf("jobs: read chain of job %q: %w", e.ID, err)
		}
		if err := h.c.enqueueStep(ctx, s, id, rest); err != nil {
			return err
		}
	}
	if err := h.c.rdb.PExpire(ctx, key, life).Err(); err != nil {
		return fmt.Errorf("jobs: keep chain of job %q: %w", e.ID, err)
	}
	return nil
}

// keep keeps the steps of a chain whose job is opened again.
func (h chains) keep(ctx context.Context, spec string) error {
	var f follow
	if spec == "" || json.Unmarshal([]byte(spec), &f) != nil || f.Steps == "" {
		return nil
	}
	if err := h.c.rdb.PExpire(ctx, h.c.steps(f.Steps), stepLife+maxRetention).Err(); err != nil {
		return fmt.Errorf("jobs: keep steps: %w", err)
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
	if at < f.Len {
		rest = &follow{Chain: chain, Steps: f.Steps, Len: f.Len, At: at}
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
