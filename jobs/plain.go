package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// A plain job has no session, no ID of the caller's choice, no uniqueness, no
// limits and nothing that follows it. While all goes well its Asynq task is all
// there is of it, and one script at the end makes its record, over already. The
// first thing that needs more makes the record before: a heartbeat (so every
// job that runs for longer than beatEvery has one), progress, a failure, a
// snooze, a stop of the worker, a cancellation.
//
// Whether there may be a record is told by Asynq's count of retries: an
// execution that found none and ends other than by completing makes Asynq count
// one, and so does a crash. At zero nothing has happened yet.

// headerPlain marks the task of a plain job. Its value is the time when it was
// made and the job's options.
const headerPlain = "lm-plain"

func plainHeader(made time.Time, opts string) string { return ms(made) + " " + opts }

func parsePlain(v string) (made time.Time, opts string, ok bool) {
	at, opts, ok := strings.Cut(v, " ")
	n, err := strconv.ParseInt(at, 10, 64)
	return time.UnixMilli(n), opts, ok && err == nil
}

// plainTask is what is known of a plain job without a record.
type plainTask struct {
	id, kind, queue string
	payload         []byte
	rawOpts         string
	opts            jobOptions
	made            time.Time
}

// fields are those of a new record.
func (t *plainTask) fields(st State, attempts int, now time.Time) []any {
	return []any{
		"gen", 1, "att", attempts, "lim", t.opts.Limit, "st", string(st), "kind", t.kind, "queue", t.queue,
		"pay", t.payload, "opt", t.rawOpts, "made", ms(t.made), "upd", ms(now),
	}
}

// complete ends a plain job of which there is no record. It returns false when
// there is one.
func (c *Client) complete(ctx context.Context, x *execution, result []byte) (bool, error) {
	t := c.completion(x, result)
	n, err := c.run(ctx, "complete", t.keys, t.args...).Int()
	if err != nil {
		return false, fmt.Errorf("jobs: complete job %q: %w", x.id, err)
	}
	return n == 1, nil
}

// join ties a plain execution to its job's record, after which it is plain no
// more. The verdict is "" when x may go on, "over" or "stale" when it has no say.
func (c *Client) join(ctx context.Context, x *execution) (verdict string, s State, err error) {
	if x.plain == nil {
		return "", "", nil
	}
	now := time.Now()
	args := append([]any{x.id, ms(now), ms(now.Add(stallAfter))}, x.plain.fields(StateQueued, 0, now)...)
	r, err := c.reply(ctx, "join", x.id, args...)
	if err != nil {
		return "", "", err
	}
	if r.str(0) == "run" {
		x.run, x.plain = 1, nil
		return "", "", nil
	}
	return r.str(0), State(r.str(1)), nil
}

// join is the client's, insisted on. It returns true when x has no say, with
// the verdict for Asynq.
func (p *Pool) join(ctx context.Context, x *execution) (settled bool, err error) {
	var verdict string
	var s State
	err = p.persist(ctx, func(ctx context.Context) (err error) {
		verdict, s, err = p.client.join(ctx, x)
		return err
	})
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "record of job not stored", "id", x.id, "error", err)
		return true, &retryError{err: err, delay: unsettledDelay}
	case verdict == "stale":
		return true, &retryError{err: errSuperseded, delay: unsettledDelay}
	case verdict == "over":
		return true, p.wasOver(ctx, x, s, false)
	}
	return false, nil
}

// concludePlain ends a plain execution: at once when it completed and nobody
// has made a record, else by way of the record.
func (p *Pool) concludePlain(ctx context.Context, x *execution, s State, result []byte, cause error) (settled bool, err error) {
	if s == StateCompleted {
		if p.sharesEnds() {
			p.ends.put(x, result)
		} else if stored, err := p.storeEnd(ctx, &plainEnd{x: x, result: result}); !stored {
			return true, err
		}
		p.client.metrics.ended(x.metricKind(), s)
		p.client.metrics.attempts.WithLabelValues(x.metricKind(), string(s)).Inc()
		return true, nil
	}
	settled, err = p.join(ctx, x)
	if !settled && s == StateFailed {
		// The task goes round once more, see performPlain, so its reason has to
		// be kept for the archive.
		why := cause.Error()
		if err := p.client.rdb.HSet(ctx, p.client.job(x.id)[0], "why", why[:min(len(why), maxMessage)]).Err(); err != nil {
			p.log.WarnContext(ctx, "reason of failure not stored", "id", x.id, "error", err)
		}
	}
	return settled, err
}

// storeEnd stores the end of a plain job that completed, by way of its record
// when somebody has made one; then, or when it fails, it returns false and the
// verdict for Asynq.
func (p *Pool) storeEnd(ctx context.Context, e *plainEnd) (stored bool, verdict error) {
	err := p.persist(ctx, func(ctx context.Context) (err error) {
		stored, err = p.client.complete(ctx, e.x, e.result)
		return err
	})
	if err != nil {
		p.log.WarnContext(ctx, "end of job not stored", "id", e.x.id, "error", err)
		return false, &retryError{err: err, delay: unsettledDelay}
	}
	if stored {
		return true, nil
	}
	if settled, err := p.join(ctx, e.x); settled {
		return false, err
	}
	return false, p.conclude(ctx, e.x, StateCompleted, e.result, "", "", nil)
}

// performPlain runs the first execution of a plain job. Whatever comes back to
// the queue is counted by Asynq, for that is how the next execution knows of the
// record. A failed job goes round once more for that, and begin archives it, so
// that an operator's re-run out of the archive finds it over too.
func (p *Pool) performPlain(ctx, settle context.Context, x *execution) error {
	x.attempt, x.limit = 1, x.opts.Limit
	err := p.perform(ctx, settle, x)
	if r, ok := errors.AsType[*retryError](err); ok {
		r.failure = true
		return r
	}
	if errors.Is(err, asynq.SkipRetry) {
		return &retryError{err: errors.New(err.Error()), failure: true} // not SkipRetry any more
	}
	return err
}

// beginPlain makes the record of a plain job whose worker died before it made
// one. The executions that Asynq has counted are attempts.
func (p *Pool) beginPlain(ctx context.Context, x *execution, retried int) error {
	return p.persist(ctx, func(ctx context.Context) error {
		return p.client.adopt(ctx, x.plain, StateQueued, retried)
	})
}

// adopt makes the record of a plain job, unless there is one.
func (c *Client) adopt(ctx context.Context, t *plainTask, s State, attempts int) error {
	now := time.Now()
	args := append([]any{t.id, ms(now), ms(now.Add(firstCheck)), "", ""}, t.fields(s, attempts, now)...)
	if s == StateRunning {
		args = append(args, "hb", ms(now))
	}
	_, err := c.reply(ctx, "create", t.id, args...)
	return err
}

// locate looks for the task of a plain job in all queues. It returns nil when
// there is none.
func (c *Client) locate(id string) (*plainTask, *asynq.TaskInfo, error) {
	queues, err := c.inspect.Queues()
	if err != nil {
		return nil, nil, fmt.Errorf("jobs: look for job %q: %w", id, err)
	}
	for _, q := range queues {
		info, err := c.inspect.GetTaskInfo(q, id)
		if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("jobs: look for job %q: %w", id, err)
		}
		made, raw, ok := parsePlain(info.Headers[headerPlain])
		if !ok {
			continue
		}
		opts, err := c.options.decode(info.Type, raw)
		if err != nil {
			return nil, nil, fmt.Errorf("jobs: look for job %q: options: %w", id, err)
		}
		return &plainTask{id: id, kind: info.Type, queue: q, payload: info.Payload, rawOpts: raw, opts: opts, made: made}, info, nil
	}
	return nil, nil, nil //nolint:nilnil // none is no error
}

// plainState is what Asynq's state of a task without a record means.
func plainState(s asynq.TaskState) State {
	switch s {
	case asynq.TaskStateActive:
		return StateRunning
	case asynq.TaskStateScheduled:
		return StateScheduled
	case asynq.TaskStateArchived:
		return StateFailed
	case asynq.TaskStateCompleted:
		return StateCompleted
	default:
		return StateQueued
	}
}

// plainInfo returns what Asynq knows of a plain job.
func (c *Client) plainInfo(id string) (Info, error) {
	t, task, err := c.locate(id)
	if err != nil {
		return Info{}, err
	}
	if t == nil {
		return Info{}, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	i := Info{
		ID: id, Kind: t.kind, Queue: t.queue, State: plainState(task.State), Attempt: task.Retried, Attempts: t.opts.Limit,
		Gen: 1, Created: t.made, Updated: t.made,
	}
	i.setArgs(t.payload, t.opts.Codec)
	switch i.State {
	case StateRunning:
		i.Attempt++
	case StateScheduled:
		i.NextAt = task.NextProcessAt
	case StateFailed:
		i.Code, i.Error = codeArchived, "the work was stopped by an operator"
	default:
	}
	return i, nil
}

// adoptFound makes the record of a plain job that is in a queue or with a
// worker, and nothing when there is no such task.
func (c *Client) adoptFound(ctx context.Context, id string) error {
	t, task, err := c.locate(id)
	if err != nil || t == nil || task.State == asynq.TaskStateCompleted {
		return err
	}
	if plainState(task.State) == StateRunning {
		return c.adopt(ctx, t, StateRunning, task.Retried+1)
	}
	return c.adopt(ctx, t, StateQueued, task.Retried)
}

// retryPlain runs a plain job again that an operator archived before it ran.
func (c *Client) retryPlain(id string) error {
	t, task, err := c.locate(id)
	switch {
	case err != nil:
		return err
	case t == nil:
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	case task.State != asynq.TaskStateArchived:
		return fmt.Errorf("%w: %q is %s", ErrOpen, id, plainState(task.State))
	}
	if err := c.inspect.RunTask(t.queue, id); err != nil {
		return fmt.Errorf("jobs: run job %q: %w", id, err)
	}
	return nil
}
