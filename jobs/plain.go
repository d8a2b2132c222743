package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs/internal/tasks"
)

// A plain job has no session, no ID of the caller's choice, no uniqueness, no
// limits and nothing that follows it. While all goes well its Asynq task is all
// there is of it, and one script at the end makes its record, over already. The
// first thing that needs more makes the record before: a heartbeat (so every
// job that runs for longer than beatEvery has one), progress, a failure, a
// snooze, a stop of the worker, a cancellation.
//
// Whether there may be a record is told by a note with the task (note.lua), or by
// Asynq's count of retries where none could be left: then an execution that found
// no record and ends other than by completing makes Asynq count one, as a crash
// does. Without a note and at zero nothing has happened yet.

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

// join ties an execution that its job's record does not know of to the record.
// With joinOver and joinStale it has no say.
func (c *Client) join(ctx context.Context, x *execution) (v joining, s State, err error) {
	if x.record == recordKnows {
		return joined, "", nil
	}
	keys, token, void, err := handOut(ctx, c, x)
	if void || err != nil {
		return joinStale, "", err
	}
	now := c.clock.now(ctx)
	args := []any{x.id, ms(now), ms(now.Add(stallAfter)), x.pool.name, token}
	if x.record == noRecord {
		args = append(args, x.plain.fields(StateQueued, 0, now)...)
	}
	r, err := c.run(ctx, "join", keys, args...).Slice()
	if err != nil {
		return 0, "", fmt.Errorf("jobs: join job %q: %w", x.id, err)
	}
	v, err = parseJoining(r)
	if err != nil {
		return v, "", fmt.Errorf("jobs: join job %q: %w", x.id, err)
	}
	if v == joined {
		x.run, x.record = 1, recordKnows
	}
	return v, State(reply(r).str(1)), nil
}

// join is the client's, insisted on. It returns true when x has no say, with
// the verdict for Asynq.
func (p *Pool) join(ctx context.Context, x *execution) (settled bool, err error) {
	var v joining
	var s State
	err = p.insist(ctx, func(ctx context.Context) (err error) {
		v, s, err = p.client.join(ctx, x)
		return err
	})
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "record of job not stored", "id", x.id, "error", err)
		return true, owed(err)
	case v == joinStale:
		return true, p.superseded(ctx, x)
	case v == joinOver:
		return true, p.wasOver(ctx, x, s, false)
	}
	return false, nil
}

// keepReason notes why a plain job failed: its task goes round once more, see
// performPlain, so the archive would not say.
func (p *Pool) keepReason(ctx context.Context, x *execution, cause error) {
	why := shorten(cause.Error(), maxMessage)
	if err := p.client.rdb.HSet(ctx, p.client.job(x.id)[0], "why", why).Err(); err != nil {
		p.log.WarnContext(ctx, "reason of failure not stored", "id", x.id, "error", err)
	}
}

// performPlain runs the first execution of a plain job. What comes back to the
// queue without a note that there is a record now is counted by Asynq, for that is
// how the next execution knows of it. A failed job goes round once more for that,
// and begin archives it, so that an operator's re-run out of the archive finds it
// over too.
func (p *Pool) performPlain(ctx, endCtx context.Context, x *execution) error {
	x.attempt, x.limit = 1, x.opts.Limit
	err := p.perform(ctx, endCtx, x)
	if x.noted {
		return err
	}
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
// one. That was no attempt.
func (p *Pool) beginPlain(ctx context.Context, x *execution) error {
	return p.insist(ctx, func(ctx context.Context) error {
		return p.client.adopt(ctx, x.plain, StateQueued, 0)
	})
}

// adopt makes the record of a plain job, unless there is one.
func (c *Client) adopt(ctx context.Context, t *plainTask, s State, attempts int) error {
	now := c.clock.now(ctx)
	listed := entry(s, t.kind, t.queue, t.made, time.Time{}, t.id)
	args := append([]any{t.id, ms(now), ms(now.Add(firstCheck)), "", "", listed}, t.fields(s, attempts, now)...)
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
		queue, ours := c.fromAsynq(q)
		if !ours {
			continue
		}
		info, err := c.inspect.GetTaskInfo(q, id)
		if tasks.Gone(err) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("jobs: look for job %q: %w", id, err)
		}
		h, err := tasks.ParseHeader(info.Headers)
		if err != nil || !h.Plain || h.App != c.prefix {
			continue
		}
		opts, err := c.options.decode(info.Type, h.Options)
		if err != nil {
			return nil, nil, fmt.Errorf("jobs: look for job %q: options: %w", id, err)
		}
		return &plainTask{id: id, kind: info.Type, queue: queue, payload: info.Payload, rawOpts: h.Options, opts: opts, made: h.Made}, info, nil
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
func plainInfo(c *Client, id string) (Info, error) {
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
// worker, and nothing when there is no such task. It returns ErrEnded for one
// that an operator has archived.
func (c *Client) adoptFound(ctx context.Context, id string) error {
	t, task, err := c.locate(id)
	if err != nil || t == nil || task.State == asynq.TaskStateCompleted {
		return err
	}
	switch plainState(task.State) {
	case StateFailed: // an operator archived it
		return fmt.Errorf("%w: %q is %s", ErrEnded, id, StateFailed)
	case StateRunning:
		return c.adopt(ctx, t, StateRunning, task.Retried+1)
	default:
		return c.adopt(ctx, t, StateQueued, task.Retried)
	}
}

// retryPlain runs a plain job again that an operator archived before it ran.
func retryPlain(c *Client, id string) error {
	t, task, err := c.locate(id)
	switch {
	case err != nil:
		return err
	case t == nil:
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	case task.State != asynq.TaskStateArchived:
		return fmt.Errorf("%w: %q is %s", ErrOpen, id, plainState(task.State))
	}
	if err := c.inspect.RunTask(c.inAsynq(t.queue), id); err != nil {
		return fmt.Errorf("jobs: run job %q: %w", id, err)
	}
	return nil
}
