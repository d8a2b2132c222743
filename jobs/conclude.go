package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs/internal/tasks"
)

const (
	pendingEvery = time.Second
	pendingAfter = 2 * time.Second
)

// conclude brings the end of a run through complete.go, and returns what Asynq
// is to do with the task. When the decision cannot be stored the task comes back
// and begin decides; when only the event cannot, the watchdog delivers it.
func (p *Pool) conclude(ctx context.Context, x *execution, s State, result []byte, code, text string, cause error) error {
	c := p.client
	if err := x.closeStreams(ctx); err != nil { // readers learn of the end by the event
		p.log.WarnContext(ctx, "streams not closed", "id", x.id, "error", err)
	}
	if x.record != recordKnows {
		switch completion := newCompletion(ctx, x, result); routeOf(x.record, s, c.pushable(x), c.single() && c.known.Done) {
		case routeTask:
			p.pending.Put(x.task(), completion)
			return nil
		case routeRun:
			return p.completeAlone(ctx, completion)
		case routeRecord:
		}
		settled, err := p.join(ctx, x)
		if settled {
			return err
		}
		if s == StateFailed && x.plain != nil {
			p.keepReason(ctx, x, cause)
			p.misfits.noteRun(ctx, x, false, true)
		}
	}
	var failure string
	if s == StateFailed && !errors.Is(cause, errDied) { // begin.lua has kept that one
		failure = x.failure(code, cause)
	}
	end, err := c.complete(ctx, &ending{
		id: x.id, kind: x.metricKind(), gen: x.gen, run: x.run, state: s, result: result, code: code, err: text, kept: failure,
		retention: x.opts.Retention, event: x.event(s), retry: p.insist,
	})
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "end of job not stored", "id", x.id, "error", err)
		return owed(err)
	case end.decision == endStale:
		return p.superseded(ctx, x)
	case end.decision == endWasDecided:
		// Our own decision when its answer got lost, or somebody's before us.
		return p.wasOver(ctx, x, end.state, true)
	case end.undelivered != nil:
		p.log.WarnContext(ctx, "terminal event left to the watchdog", "id", x.id, "error", end.undelivered)
	}
	c.metrics.attempts.WithLabelValues(x.metricKind(), string(end.state)).Inc()
	if cause == nil {
		cause = ErrCancelled
	}
	return verdictFor(end.state, cause)
}

// completeAlone stores the end of a run while Asynq does not remove its task:
// by the run where there is no record, else by the record.
func (p *Pool) completeAlone(ctx context.Context, end *completion) error {
	if end.x.record == noRecord {
		var done completed
		err := p.insist(ctx, func(ctx context.Context) (err error) {
			done, err = p.client.completeRun(ctx, end, tasks.Removal{})
			return err
		})
		if err != nil {
			p.log.WarnContext(ctx, "end of job not stored", "id", end.x.id, "error", err)
			return owed(err)
		}
		if done.stored {
			return nil
		}
	}
	return completeJoined(ctx, p, end)
}

// completeJoined stores the end of a run by the record.
func completeJoined(ctx context.Context, p *Pool, end *completion) error {
	if settled, err := p.join(ctx, end.x); settled {
		return err
	}
	return p.conclude(ctx, end.x, StateCompleted, end.result, "", "", nil)
}

// finishPending stores the completion that waits for one of the tasks which a
// call of Asynq's is about. done is false when that call is still to be made; with
// an error Asynq repeats it: until the end is stored, no task is removed.
func (p *Pool) finishPending(ctx context.Context, ids []string, remove tasks.Removal) (done bool, err error) {
	if _, parked := p.parked.Take(ids); parked {
		return true, nil // the script that refused the job its place has put it off
	}
	end, ok := p.pending.Peek(ids)
	if !ok {
		return false, nil
	}
	select {
	case end.storing <- struct{}{}:
	case <-ctx.Done():
		return true, ctx.Err()
	}
	defer func() { <-end.storing }()
	if len(remove.Keys) > 0 {
		end.remove = remove
	}
	if err := end.store(ctx, p); err != nil {
		return true, err
	}
	return end.removed, nil
}

// store stores a completion that waits, or leaves it waiting. The caller has its
// token.
func (end *completion) store(ctx context.Context, p *Pool) error {
	if end.over {
		return nil
	}
	result, err := p.client.completeRun(ctx, end, end.remove)
	if err != nil {
		return err
	}
	var verdict error
	if !result.stored && len(end.remove.Keys) > 0 { // not again: the task may be another worker's
		verdict = completeJoined(context.WithoutCancel(ctx), p, end)
	} else if !result.stored {
		verdict = p.completeAlone(context.WithoutCancel(ctx), end)
	}
	again, back := errors.AsType[*retryError](verdict)
	if back && again.owed {
		return again
	}
	// Either the task is removed, or it is not for us to remove: another worker
	// has it, or will when the lease is over.
	end.over, end.removed = true, back || result.removed
	p.pending.Take([]string{end.x.task()})
	return nil
}

// keepPending stores the completions that Asynq does not come for, and gives
// back the tasks that it does not take, until ctx ends.
func (p *Pool) keepPending(ctx context.Context) {
	tick := time.NewTicker(pendingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.storePending(ctx, pendingAfter)
			holder{p}.giveBack(ctx, tasks.HeldFor)
		}
	}
}

// storePending stores what Asynq has not come for, or has given up on while Redis
// took no writes: then the task is removed as Asynq asked for.
func (p *Pool) storePending(ctx context.Context, after time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for _, end := range p.pending.Overdue(after) {
		select {
		case end.storing <- struct{}{}:
		default:
			continue // Asynq has come
		}
		if after > 0 && len(end.remove.Keys) == 0 && !end.over {
			p.log.WarnContext(ctx, "Asynq did not come for the task of a job that has ended", "id", end.x.id, "action", end.x.kind)
		}
		err := end.store(ctx, p)
		<-end.storing
		if err != nil {
			p.log.WarnContext(ctx, "end of job not stored", "id", end.x.id, "error", err)
			if passing(err) && after > 0 {
				return // nor are the others
			}
		}
	}
}

// wasOver settles a task whose job has ended already: a re-run after a crash
// between our decision and Asynq's, or an operator's.
func (p *Pool) wasOver(ctx context.Context, x *execution, s State, undelivered bool) error {
	if undelivered {
		if err := tryFor(ctx, p.givingUp, func(ctx context.Context) error { return p.client.notify.deliver(ctx, x.id) }); err != nil {
			p.log.WarnContext(ctx, "terminal event still undelivered", "id", x.id, "error", err)
		}
	}
	if x.plain != nil && s == StateFailed {
		if why, err := p.client.rdb.HGet(ctx, p.client.job(x.id)[0], "why").Result(); err == nil {
			return verdictFor(s, errors.New(why))
		}
	}
	return verdictFor(s, fmt.Errorf("job %s was %s before", x.id, s))
}

// verdictFor returns what Asynq is to do with the task of a job that ended.
func verdictFor(s State, err error) error {
	switch s {
	case StateCompleted:
		return nil
	case StateFailed:
		return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
	default:
		return fmt.Errorf("%w: %w", err, asynq.RevokeTask)
	}
}
