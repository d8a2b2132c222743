package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"lastmile/push"
)

// The end of a job that completed before its record knew of the execution (see
// fresh.go), the push of that end and Asynq's "task is done" are one script: that
// saves the job its round trips. The end waits here for the moment,
// microseconds, until Asynq takes its task out; what Asynq does not come for (it
// lost the lease, say) is stored anyhow.

const (
	endsEvery = time.Second
	endsAfter = 2 * time.Second
)

type ends struct {
	mu      sync.Mutex
	waiting map[string]*completion // by task ID
}

// completion is a job's end as completed.
type completion struct {
	x      *execution
	result []byte
	span   trace.Span // of the execution, which the push belongs to
	at     time.Time
}

func newCompletion(ctx context.Context, x *execution, result []byte) *completion {
	return &completion{x: x, result: result, span: trace.SpanFromContext(ctx)}
}

// push returns the push that tells the end, or nothing when nobody wants one.
func (c *completion) push() (*push.Message, error) {
	if len(c.x.dests) == 0 {
		return nil, nil //nolint:nilnil // none is no error
	}
	to, e := c.x.dests[0], c.x.event(StateCompleted)
	m := &push.Message{ID: e.pushID(), Session: to.Session, Action: to.action(string(StateCompleted)), Replaces: e.replaces(), Final: true}
	if m.Action == "" {
		return nil, nil //nolint:nilnil // likewise
	}
	var err error
	if m.Data, err = e.data(c.result); err != nil {
		return nil, fmt.Errorf("jobs: encode event of job %q: %w", e.ID, err)
	}
	return m, nil
}

func (e *ends) put(c *completion) {
	c.at = time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting[c.x.task()] = c
}

// take returns the end that waits for a task, or nil.
func (e *ends) take(id string) *completion {
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.waiting[id]
	delete(e.waiting, id)
	return end
}

// overdue takes the ends out that have waited for longer than d.
func (e *ends) overdue(d time.Duration) []*completion {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*completion
	for id, end := range e.waiting {
		if time.Since(end.at) >= d {
			out = append(out, end)
			delete(e.waiting, id)
		}
	}
	return out
}

// keepEnds stores what Asynq does not come for, and gives back what it does not
// take, until ctx ends.
func (p *Pool) keepEnds(ctx context.Context) {
	tick := time.NewTicker(endsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.storeEnds(ctx, endsAfter)
			p.giveBack(ctx, heldFor)
		}
	}
}

func (p *Pool) storeEnds(ctx context.Context, after time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistFor)
	defer cancel()
	for _, end := range p.ends.overdue(after) {
		if after > 0 {
			p.log.WarnContext(ctx, "Asynq did not come for the task of a job that has ended", "id", end.x.id, "action", end.x.kind)
		}
		_ = p.storeEnd(ctx, end) // its verdict for Asynq comes too late, its failure is logged
	}
}

// storeEnd stores the end of a job by itself, by way of its record where there
// is one, and returns the verdict for Asynq.
func (p *Pool) storeEnd(ctx context.Context, end *completion) (verdict error) {
	if end.x.plain != nil {
		var stored bool
		err := p.persist(ctx, func(ctx context.Context) (err error) {
			stored, _, err = p.client.complete(ctx, end, nil, nil)
			return err
		})
		if err != nil {
			p.log.WarnContext(ctx, "end of job not stored", "id", end.x.id, "error", err)
			return &retryError{err: err, delay: unsettledDelay}
		}
		if stored {
			p.completed(end)
			return nil
		}
	}
	if settled, err := p.join(ctx, end.x); settled {
		return err
	}
	return p.conclude(ctx, end.x, StateCompleted, end.result, "", "", nil)
}

// server is Asynq's client in a pool.
type server struct {
	sharing
	pool *Pool
	hook *serverHook
}

// EvalSha calls a script: to take tasks, several at a time; to take a task out
// together with the end of its job; and any other as it is.
func (s server) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := detach(ctx)
	defer cancel()
	known := &s.pool.client.known
	if known.Dequeues(sha, keys, args) {
		return s.take(ctx, takes(keys, args), args[0])
	}
	var end *completion
	mentioned := known.Mentioned(keys, args)
	defer s.pool.ahead.settled(mentioned)
	for _, id := range mentioned {
		end = cmp.Or(end, s.pool.ends.take(id))
	}
	if end != nil {
		removes := known.Removes(sha, keys, args)
		if cmd := s.finish(ctx, end, removes, keys, args); cmd != nil {
			return cmd
		}
	}
	cmd := s.combine.do(ctx, call{sha: sha, keys: keys, args: args})
	s.hook.pace(ctx, cmd.Err())
	return cmd
}

// finish stores the end of a job whose task Asynq takes out. It returns the
// answer for Asynq, or nil when Asynq's call is still to be made.
func (s server) finish(ctx context.Context, end *completion, removes bool, keys []string, args []any) *redis.Cmd {
	if !removes { // a task that Asynq keeps, say
		keys, args = nil, nil
	}
	stored, done, err := s.pool.client.complete(ctx, end, keys, args)
	s.hook.pace(ctx, err)
	cmd := redis.NewCmd(ctx)
	cmd.SetVal("OK")
	switch {
	case err != nil:
		s.pool.ends.put(end) // Asynq repeats its call
		cmd.SetErr(err)
		return cmd
	case stored:
		s.pool.completed(end)
	default:
		err = s.pool.storeEnd(context.WithoutCancel(ctx), end)
	}
	if _, again := errors.AsType[*retryError](err); again || done {
		// Either it is out, or it is not for us to take out: another worker has
		// it, or will when the lease is over.
		return cmd
	}
	return nil
}

// complete stores the end of a job that nothing knows to have begun, together
// with its push and, given the keys and arguments of that script of Asynq's, the
// end of its task. It returns whether it did, and whether the task is out; false
// means that the record decides.
func (c *Client) complete(ctx context.Context, end *completion, keys []string, args []any) (stored, done bool, err error) {
	store := func(ctx context.Context, s push.Script) (any, error) {
		r, err := c.completeBy(ctx, end, keys, args, s)
		if err != nil {
			return nil, err
		}
		if stored, done = r.num(0) == 1, r.num(1) == 1; !stored || len(r) < 3 {
			return nil, push.ErrApart // or nothing was to be pushed
		}
		return r[2], nil
	}
	ctx = trace.ContextWithSpan(ctx, end.span)
	m, err := end.push()
	switch joins, ok := c.pub.(joiner); {
	case err != nil:
		return false, false, nil // the record's way comes to the same, and says so
	case m == nil:
		_, err = store(ctx, push.Script{})
	case ok:
		_, err = joins.PublishWithin(ctx, c.rdb, *m, store)
	default:
		return false, false, nil
	}
	if stored || notWithin(err) {
		err = nil
	}
	return stored, done, err
}

// completed counts.
func (p *Pool) completed(end *completion) {
	p.client.metrics.ended(end.x.metricKind(), StateCompleted)
	p.client.metrics.attempts.WithLabelValues(end.x.metricKind(), string(StateCompleted)).Inc()
}

// completeBy runs the script.
func (c *Client) completeBy(ctx context.Context, end *completion, keys []string, args []any, s push.Script) (reply, error) {
	x, now, script := end.x, time.Now(), c.scripts["complete"]
	var fields []any
	if x.plain != nil {
		fields = x.plain.fields(StateCompleted, 1, now)
	}
	task := 0
	if len(keys) > 0 {
		task = 1
	}
	all := make([]any, 0, 8+len(fields)+len(args)+len(s.Args))
	all = append(all, x.id, ms(now), msOf(x.opts.Retention), x.to, end.result, ms(x.began), task, len(fields))
	all = append(append(append(all, fields...), args...), s.Args...)
	if s.Body != "" {
		script = c.completing(s.Body)
	}
	v, err := c.combine.run(ctx, script, slices.Concat(c.job(x.id), keys, s.Keys), all).Slice()
	if err != nil {
		return nil, fmt.Errorf("jobs: complete job %q: %w", x.id, err)
	}
	return v, nil
}
