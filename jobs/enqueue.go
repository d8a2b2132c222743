package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/propagation"

	"lastmile/jobs/internal/taskid"
	"lastmile/push"
)

// Handle names an enqueued job.
type Handle struct {
	// ID is the job's.
	ID string
	// Gen is its generation.
	Gen int
	// State is where it stood when Enqueue returned.
	State State
	// Existing is true when the job was there before: the ID was repeated, or
	// a Unique job is open or still counts.
	Existing bool
}

// The headers of a task.
const (
	headerID      = "lm-id"
	headerGen     = "lm-gen"
	headerCodec   = "lm-codec"
	headerOptions = "lm-opt"
)

// task is one generation of a job on its way into Asynq.
type task struct {
	id, kind, queue string
	gen             int
	payload         []byte
	opts            jobOptions
	at              time.Time
	plain           bool
	made            time.Time
}

// asynqRetries is out of reach of any job, so that Asynq never archives one
// behind our back: attempts are counted in the record.
const asynqRetries = 1000

func (c *Client) enqueue(ctx context.Context, d *definition, payload []byte, opts []Option) (Handle, error) {
	if d.err != nil {
		return Handle{}, d.err
	}
	if sess, ok := ctx.(interface{ Session() push.Session }); ok {
		opts = append([]Option{inSession(sess.Session())}, opts...)
	}
	s, err := d.with(opts)
	if err != nil {
		return Handle{}, err
	}
	s.retention = max(s.retention, s.unique) // the record is what makes it unique
	id, chosen := c.jobID(ctx, d.name, payload, &s)
	s.id = id
	s.plain = !chosen && s.session == "" && s.follow == nil && len(s.limits) == 0
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.pass(ctx, &Work{ID: s.id, Kind: d.name, Queue: s.queue, Args: payload, set: &s})
}

// inSession lists a job with the session of the page that enqueues it.
func inSession(s push.Session) Option {
	return func(o *settings) { o.session = s.ID() }
}

// pass puts a job in by way of the middleware.
func (c *Client) pass(ctx context.Context, w *Work) (Handle, error) {
	next := c.put
	for _, wrap := range slices.Backward(c.cfg.Middleware) {
		next = wrap(next)
	}
	h, err := next(ctx, w)
	c.metrics.enqueued(w.Kind, h, err)
	return h, err
}

// jobID returns the ID asked for, the one that makes the job unique, one that
// derives from the action that ctx belongs to, or a random one, which is not
// chosen.
func (c *Client) jobID(ctx context.Context, kind string, payload []byte, s *settings) (id string, chosen bool) {
	switch {
	case s.id != "":
		return s.id, true
	case s.unique > 0 && len(s.uniqueKey) > 0:
		return "u" + digest(append([]string{kind, "key"}, s.uniqueKey...)...), true
	case s.unique > 0:
		return "u" + digest(kind, "args", string(payload)), true
	}
	a, ok := ctx.(interface{ ActionID() string })
	if !ok || a.ActionID() == "" || !reflect.TypeOf(ctx).Comparable() {
		return rand.Text(), false
	}
	counter, loaded := c.actions.LoadOrStore(ctx, new(atomic.Int64))
	if !loaded {
		context.AfterFunc(ctx, func() { c.actions.Delete(ctx) })
	}
	n, ok := counter.(*atomic.Int64)
	if !ok {
		return rand.Text(), false // nothing else is stored there
	}
	return "a" + digest(kind, a.ActionID(), strconv.FormatInt(n.Add(1), 10)), true
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// put writes the record and the task.
func (c *Client) put(ctx context.Context, e *Work) (Handle, error) {
	s, now := e.set, time.Now()
	if e.Queue == "" {
		return Handle{}, fmt.Errorf("%w: no queue", ErrInvalid)
	}
	at := s.at
	if s.in > 0 {
		at = now.Add(s.in)
	}
	t := &task{
		id: e.ID, gen: 1, kind: e.Kind, queue: e.Queue, payload: e.Args, at: at,
		opts: jobOptions{
			Timeout: s.timeout, Retention: s.retention, Base: s.backoffBase, Max: s.backoffMax, Limit: s.maxRetry + 1, Limits: s.limits,
			Codec: s.codec(),
		},
		plain: s.plain && e.ID == s.id, made: now,
	}
	if t.plain {
		h := Handle{ID: e.ID, Gen: 1, State: t.state(now)}
		return h, c.submit(ctx, t)
	}
	to, err := s.dest()
	if err != nil {
		return Handle{}, err
	}
	r, submitted, err := c.create(ctx, t, s, to, now)
	if err != nil {
		return Handle{}, err
	}
	h := Handle{ID: e.ID, Gen: int(r.num(1)), State: State(r.str(3)), Existing: true}
	t.gen = h.Gen
	switch r.str(0) {
	case "crowded":
		return h, fmt.Errorf("%w: too many sessions wait for job %q", ErrInvalid, e.ID)
	case "kept":
		return h, c.tellEnd(ctx, e.ID, to)
	case "stale":
		return c.openStale(ctx, e.ID, to, now.Add(s.unique))
	case "open":
		if r.num(2) > 0 || submitted {
			return h, nil // it has run, so it is in the queue
		}
		return h, c.submit(ctx, t)
	}
	h.Existing, h.State = false, t.state(now)
	if !submitted {
		if err := c.submit(ctx, t); err != nil {
			c.abandon(ctx, t)
			return h, err
		}
	}
	c.tellQueued(ctx, t, h, s)
	return h, nil
}

// state is where the task stands once it is enqueued.
func (t *task) state(now time.Time) State {
	if t.at.After(now) {
		return StateScheduled
	}
	return StateQueued
}

// create lists the job with its session, makes the record, and submits the task
// where one script can do it all. Otherwise the record comes before the task,
// and the list first: listed without a record a job does not show, so the order
// hides none.
func (c *Client) create(ctx context.Context, t *task, s *settings, to string, now time.Time) (r reply, submitted bool, err error) {
	args, err := c.recordArgs(t, s, to, now)
	if err != nil {
		return nil, false, err
	}
	if c.single() && !t.at.After(now) {
		p := &putting{args: args, keys: slices.Clip(c.job(t.id)), listed: []any{ms(now), maxListed, msOf(indexLife), t.id}}
		if s.session != "" {
			p.list = c.session(s.session)
		}
		if s.fresh() {
			p.where = where(t.id, t.gen)
		}
		err := c.submit(context.WithValue(ctx, puttingKey{}, p), t)
		if p.err != nil { // what Asynq makes of it wraps nothing
			err = fmt.Errorf("jobs: enqueue task %q: %w", t.id, p.err)
		}
		return p.reply, true, err
	}
	if s.session != "" {
		if err := c.index(ctx, s.session, t.id, now); err != nil {
			return nil, false, err
		}
	}
	r, err = c.reply(ctx, "create", t.id, args...)
	return r, false, err
}

// recordArgs returns the arguments with which a record is created.
func (c *Client) recordArgs(t *task, s *settings, to string, now time.Time) ([]any, error) {
	opt, err := c.options.encode(t.kind, t.opts)
	if err != nil {
		return nil, err
	}
	uni, st := "", StateQueued
	args := []any{}
	if t.at.After(now) {
		st = StateScheduled
		args = append(args, "next", ms(t.at))
	}
	if s.unique > 0 {
		uni = ms(now.Add(s.unique))
		args = append(args, "uni", uni)
	}
	if to != "" {
		args = append(args, "to0", to, "ton", 1)
	}
	if s.follow != nil {
		f, err := json.Marshal(s.follow)
		if err != nil {
			return nil, err
		}
		args = append(args, "follow", f)
	}
	return append([]any{
		t.id, ms(now), ms(now.Add(firstCheck)), to, uni,
		"gen", 1, "lim", s.maxRetry + 1, "st", string(st), "kind", t.kind, "queue", t.queue,
		"pay", t.payload, "opt", opt, "made", ms(now),
	}, args...), nil
}

// putting is the making of a record that goes along with Asynq's call.
type putting struct {
	keys   []string
	args   []any  // of create
	list   string // of the session, or ""
	listed []any  // what listing needs
	where  string // for take.lua, or ""
	reply  reply
	err    error
}

type puttingKey struct{}

// enqueuer is Asynq's client in a Client.
type enqueuer struct {
	sharing
	store *store
}

// EvalSha calls a script; the one that enqueues a task together with the making
// of the record that ctx carries.
func (e enqueuer) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if p, ok := ctx.Value(puttingKey{}).(*putting); ok && len(keys) == 2 && len(args) == 3 {
		return e.store.put(ctx, p, keys, args)
	}
	return e.sharing.EvalSha(ctx, sha, keys, args...)
}

// put makes the record and does what Asynq's call is for in one script, and
// answers the call.
func (s *store) put(ctx context.Context, p *putting, keys []string, args []any) *redis.Cmd {
	keys = append(p.keys, keys...)
	if p.list != "" {
		keys = append(keys, p.list)
	}
	all := make([]any, 0, len(args)+5+len(p.args))
	all = append(append(append(append(all, args...), p.where), p.listed...), p.args...)
	cmd := s.run(ctx, "put", keys, all...)
	v, err := cmd.Slice()
	if p.reply, p.err = v, err; err != nil {
		return cmd
	}
	answer := redis.NewCmd(ctx)
	answer.SetVal(p.reply.num(4))
	return answer
}

// submit puts the task into Asynq's queue. It is there already when the ID is
// taken.
func (c *Client) submit(ctx context.Context, t *task) error {
	opt, err := c.options.encode(t.kind, t.opts)
	if err != nil {
		return err
	}
	headers := map[string]string{headerID: t.id, headerCodec: cmp.Or(t.opts.Codec, codecJSON)}
	if t.plain {
		headers[headerPlain] = plainHeader(t.made, opt)
	} else {
		headers[headerGen], headers[headerOptions] = strconv.Itoa(t.gen), opt
	}
	propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(headers))
	opts := []asynq.Option{
		asynq.TaskID(taskid.Of(t.id, t.gen)), asynq.Queue(t.queue), asynq.MaxRetry(asynqRetries),
		asynq.Timeout(t.opts.Timeout + timeoutSlack), asynq.Retention(c.cfg.KeepTasks),
	}
	if t.at.After(time.Now()) {
		// Asynq cuts to whole seconds; rounding up keeps it from being early.
		opts = append(opts, asynq.ProcessAt(t.at.Add(time.Second-time.Nanosecond).Truncate(time.Second)))
	}
	if _, known := c.queues.Load(t.queue); !known {
		c.queues.Store(t.queue, struct{}{})
	}
	_, err = c.tasks.EnqueueContext(ctx, asynq.NewTaskWithHeaders(t.kind, t.payload, headers), opts...)
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("jobs: enqueue task %q: %w", t.id, err)
	}
	return nil
}

// abandon takes a record back whose task was refused, so that the error which
// the caller gets is the only report of it.
func (c *Client) abandon(ctx context.Context, t *task) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if _, err := c.number(ctx, "abandon", t.id, t.id, t.gen); err != nil {
		c.log.WarnContext(ctx, "job that was not enqueued stays open until the watchdog ends it", "id", t.id, "error", err)
	}
}

// openStale opens a unique job again whose last generation is over.
func (c *Client) openStale(ctx context.Context, id, to string, unique time.Time) (Handle, error) {
	if err := c.deliver(ctx, id); err != nil {
		return Handle{}, err
	}
	rec, err := c.load(ctx, id)
	if err != nil {
		return Handle{}, err
	}
	h := Handle{ID: id, Gen: rec.Gen, State: rec.State, Existing: true}
	if !rec.over() {
		return h, nil
	}
	gen, err := c.reopen(ctx, rec, to, unique)
	if err != nil {
		return h, err
	}
	if gen <= 0 {
		return h, fmt.Errorf("%w: job %q changed meanwhile, try again", ErrOpen, id)
	}
	return Handle{ID: id, Gen: gen, State: StateQueued}, nil
}

// dest returns the destination as stored, or nothing when no action is bound.
func (s *settings) dest() (string, error) {
	if s.session == "" || len(s.actions) == 0 {
		return "", nil
	}
	b, err := json.Marshal(dest{s.session, s.actions})
	return string(b), err
}
