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
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/propagation"

	"lastmile/jobs/internal/tasks"
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
	s.random = !chosen
	s.plain = !chosen && s.session == "" && s.follow == nil && len(s.limits) == 0
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.pass(ctx, &Work{ID: s.id, Kind: d.name, Queue: s.queue, Args: payload, set: &s})
}

// inSession lists a job with the session of the page that enqueues it.
func inSession(s push.Session) Option {
	return Option{func(o *settings) { o.session = s.ID() }}
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
// derives from the handler's job or the action that ctx belongs to, or a random
// one, which is not chosen.
func (c *Client) jobID(ctx context.Context, kind string, payload []byte, s *settings) (id string, chosen bool) {
	switch {
	case s.id != "":
		return s.id, true
	case s.unique > 0 && len(s.uniqueKey) > 0:
		return "u" + digest(append([]string{kind, "key"}, s.uniqueKey...)...), true
	case s.unique > 0:
		return "u" + digest(kind, "args", string(payload)), true
	}
	if n := childrenOf(ctx); n != nil {
		return n.id(kind, payload), true
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

// randomID tells whether an ID is one of those that are drawn at random.
func randomID(id string) bool {
	return len(id) == len(rand.Text()) && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// state is where the task stands once it is enqueued.
func (t *task) state(now time.Time) State {
	if t.at.After(now) {
		return StateScheduled
	}
	return StateQueued
}

// submit puts the task into Asynq's queue. taken is true when Asynq has one of
// that ID already.
func (c *Client) submit(ctx context.Context, t *task) (taken bool, err error) {
	opt, err := c.options.encode(t.kind, t.opts)
	if err != nil {
		return false, err
	}
	headers := tasks.Header{
		App: c.prefix, ID: t.id, Gen: t.gen, Codec: cmp.Or(t.opts.Codec, codecJSON), Options: opt, Plain: t.plain, Made: t.made,
	}.Encode()
	propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(headers))
	opts := []asynq.Option{
		asynq.TaskID(tasks.IDOf(t.id, t.gen)), asynq.Queue(c.inAsynq(t.queue)), asynq.MaxRetry(asynqRetries),
		asynq.Timeout(t.opts.Timeout + timeoutSlack), asynq.Retention(c.cfg.KeepTasks),
	}
	if t.at.After(c.clock.now(ctx)) {
		// Asynq goes by this machine's clock, and cuts to whole seconds; rounding up
		// keeps it from being early.
		second := c.clock.local(t.at).Add(time.Second - time.Nanosecond).Truncate(time.Second)
		opts = append(opts, asynq.ProcessAt(second))
		ctx = context.WithValue(ctx, dueKey{}, &due{at: t.at, second: second.Unix(), queue: c.inAsynq(t.queue)})
	}
	if _, known := c.queues.Load(t.queue); !known {
		c.queues.Store(t.queue, struct{}{})
	}
	_, err = c.asynq.EnqueueContext(ctx, asynq.NewTaskWithHeaders(t.kind, t.payload, headers), opts...)
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("jobs: enqueue task %q: %w", t.id, err)
	}
	return false, nil
}

// abandon takes a record back whose task was refused, so that the error which
// the caller gets is the only report of it.
func (c *Client) abandon(ctx context.Context, t *task) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if _, err := c.number(ctx, "abandon", t.id, t.id, t.gen); err != nil {
		c.log.WarnContext(ctx, "job that was not enqueued stays open until a watchdog looks", "id", t.id, "error", err)
	}
}

// dest returns the destination as stored, or nothing when no action is bound.
func (s *settings) dest() (string, error) {
	if s.session == "" || len(s.actions) == 0 {
		return "", nil
	}
	b, err := json.Marshal(dest{s.session, s.actions})
	return string(b), err
}
