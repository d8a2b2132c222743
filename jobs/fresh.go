package jobs

import (
	"context"
	"errors"

	"lastmile/push"
)

// A job's first execution usually ends within milliseconds, and well. On a single
// server such a job costs three scripts: put makes its record and its task, take
// hands the task out and says that nobody has begun the job, and complete ends
// it, pushes the end and takes the task out. Nothing else is written. The first
// thing that needs more joins the execution to the record before, as of a plain
// job: the first heartbeat, progress, a failure, a snooze, a stop of the worker.
//
// What begin is for is not lost. That the job may run is seen as its task is
// taken: its record is open, nobody has cancelled it, and none of its runs has
// begun. The fence is that all of this still holds at the end, else the record
// decides. A start that left no trace because its worker died was an attempt
// too: Asynq counts it, and begin believes Asynq. That is why a job with one
// attempt only is not taken for fresh: it would fail for an answer of Redis that
// got lost on its way to the worker.

// fresh tells whether a job may begin without a word to its record: nothing
// hangs on the beginning.
func (s *settings) fresh() bool {
	return s.follow == nil && len(s.limits) == 0 && s.maxRetry > 0 &&
		s.actions[eventStarted] == "" && s.actions[string(StateStalled)] == ""
}

// refresh makes x the execution of a job that nobody has begun, if it is one.
// begun is true when Asynq has counted a start that the record may not know of.
func (p *Pool) refresh(ctx context.Context, x *execution, retried int) (begun bool) {
	m, to := p.ahead.mark(x.task())
	switch {
	case m == markNone || x.plain != nil:
		return false
	case retried > 0:
		return true
	case m != markFresh:
		return false
	}
	x.fresh, x.to, x.attempt, x.limit = true, to, 1, x.opts.Limit
	if to == "" {
		return false
	}
	var err error
	if x.dests, err = p.client.dests.parse(x.kind, to); err != nil {
		p.log.ErrorContext(ctx, "job has an unreadable destination", "id", x.id, "error", err)
	}
	return false
}

// concludeFresh ends an execution that the record does not know of: by complete
// if that is how it ended, else by way of the record.
func (p *Pool) concludeFresh(ctx context.Context, x *execution, s State, result []byte, cause error) (settled bool, err error) {
	if s == StateCompleted && p.client.completes(x) {
		end := newCompletion(ctx, x, result)
		if p.client.single() && p.client.known.Done {
			p.ends.put(end)
			return true, nil
		}
		return true, p.storeEnd(ctx, end)
	}
	settled, err = p.join(ctx, x)
	if !settled && s == StateFailed && x.headers[headerPlain] != "" {
		p.keepReason(ctx, x, cause)
	}
	return settled, err
}

// completes tells whether complete can do what the end of x takes.
func (c *Client) completes(x *execution) bool {
	_, within := c.pub.(joiner)
	return within || !anyBound(x.dests, string(StateCompleted))
}

// notWithin tells the errors of a push that has to go by way of the record, and
// what they say again if they are of the push.
func notWithin(err error) bool {
	return errors.Is(err, push.ErrApart) || errors.Is(err, push.ErrMailboxFull) || hopeless(err)
}
