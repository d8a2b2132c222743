package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"lastmile/internal/script"
	"lastmile/jobs/internal/tasks"
	"lastmile/push"
)

// Every end of a job goes through this file, in four steps:
//
//	decide  which end it is: once for each generation, in the record
//	store   it, with its event in the outbox
//	push    the event, under an ID made of job, generation and state
//	settle  empty the outbox, after what the end sets off
//
// complete takes them one after the other, each of which may be repeated;
// whoever dies in between, the next run or a watchdog goes on. completeRun takes
// them all in one script, for a run that completed before its record knew of it.
// routeOf says which.

// route is the way of an end.
type route int

const (
	// routeRecord: finish.lua decides in the record, then the event is pushed.
	routeRecord route = iota
	// routeRun: complete.lua at once.
	routeRun
	// routeTask: complete.lua as soon as Asynq removes the task, in one script
	// with that.
	routeTask
)

// routeOf decides on the way of a run's end. pushable tells whether complete.lua
// can do all that the end takes, removes whether it can remove the task too.
func routeOf(r recordState, s State, pushable, removes bool) route {
	switch {
	case r == recordKnows || s != StateCompleted || !pushable:
		return routeRecord
	case removes:
		return routeTask
	case r == noRecord:
		return routeRun
	default:
		return routeRecord
	}
}

// ending is an end on its way by the record.
type ending struct {
	id, kind  string // kind as the metrics have it
	gen       int
	run       int64 // 0: no fence
	state     State
	result    []byte
	code, err string
	kept      string // the error as the record keeps it, "" for none
	retention time.Duration
	// event is the job as its run knows it; nil has the record read instead.
	event *Event
	// retry repeats a call that fails; nil makes it once.
	retry func(context.Context, func(context.Context) error) error
}

// ended is an end that was decided.
type ended struct {
	finished // a cancellation that was asked for before goes first
	// undelivered is why the event is left to the watchdog.
	undelivered error
}

// complete decides, stores, pushes and settles an end. An error means that it is
// not known to be stored. When only the event fails, the watchdog delivers it.
func (c *Client) complete(ctx context.Context, e *ending) (end ended, err error) {
	decide := func(ctx context.Context) (err error) {
		end, err = c.finish(ctx, e)
		return err
	}
	if e.retry != nil {
		err = e.retry(ctx, decide)
	} else {
		err = decide(ctx)
	}
	if err != nil || end.decision != endStored {
		return end, err
	}
	c.metrics.ended(e.kind, end.state)
	if end.dests == 0 && end.follow == "" {
		return end, nil
	}
	if e.event == nil {
		end.undelivered = c.notify.deliver(ctx, e.id)
		return end, nil
	}
	event, result := *e.event, json.RawMessage(e.result)
	event.State, event.Code, event.Error = end.state, e.code, e.err
	if end.state != e.state {
		event.Code, event.Error, result = codeCancelled, "cancelled", nil
	}
	to := audience{others: end.dests > 1}
	if to.first, err = parseDests(end.first); err != nil {
		c.log.ErrorContext(ctx, "job has an unreadable destination", "id", e.id, "error", err)
	}
	end.undelivered = c.notify.settle(ctx, &event, result, to, end.follow, e.retention)
	return end, nil
}

// finish runs the script that decides.
func (c *Client) finish(ctx context.Context, e *ending) (ended, error) {
	now := c.clock.now(ctx)
	r, err := c.reply(ctx, "finish", e.id, e.id, e.gen, e.run, string(e.state), ms(now), ms(now.Add(outboxAfter)),
		msOf(e.retention), e.result, e.code, e.err, e.kept)
	if err != nil {
		return ended{}, err
	}
	f, err := parseFinished(r)
	if err != nil {
		return ended{}, fmt.Errorf("jobs: end job %q: %w", e.id, err)
	}
	return ended{finished: f}, nil
}

// end ends a job by its record alone, as the watchdog and a cancellation do. It
// is no error when the end was decided before or the run is stale.
func (c *Client) end(ctx context.Context, rec *record, e ending) error {
	e.id, e.kind, e.gen, e.run, e.retention = rec.ID, rec.Kind, rec.Gen, rec.run, rec.opts.Retention
	if e.state == StateFailed || e.state == StateLost {
		e.kept = kept(rec.Gen, rec.Attempt, rec.Worker, e.code, e.err)
	}
	end, err := c.complete(ctx, &e)
	return errors.Join(err, end.undelivered)
}

// completion is the end of a run that completed, while its record does not know
// of the run.
type completion struct {
	x      *execution
	result []byte
	span   trace.Span // of the execution, which the push belongs to

	storing chan struct{} // holds a token while it is being stored
	remove  tasks.Removal // how Asynq removes the task, once it has asked for that
	over    bool          // it is stored, or has no say
	removed bool          // Asynq need not remove the task any more
}

func newCompletion(ctx context.Context, x *execution, result []byte) *completion {
	return &completion{x: x, result: result, span: trace.SpanFromContext(ctx), storing: make(chan struct{}, 1)}
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

// pushable tells whether complete.lua can push the end of x.
func (c *Client) pushable(x *execution) bool {
	_, within := c.pub.(joiner)
	return within || !anyBound(x.dests, string(StateCompleted))
}

// notWithin tells the errors of a push that has to go by way of the record, and
// what they say again if they are of the push.
func notWithin(err error) bool {
	return errors.Is(err, script.ErrApart) || errors.Is(err, push.ErrMailboxFull) || hopeless(err)
}

// completed is what came of a completion.
type completed struct {
	stored  bool // false: the record decides
	removed bool // the task too
}

// completeRun decides, stores, pushes and settles in one script, and removes the
// task if it is told how.
func (c *Client) completeRun(ctx context.Context, end *completion, remove tasks.Removal) (done completed, err error) {
	store := func(ctx context.Context, s script.Append) (any, error) {
		r, err := c.runComplete(ctx, end, remove, s)
		if err != nil {
			return nil, err
		}
		if done = (completed{r.num(0) == 1, r.num(1) == 1}); !done.stored || len(r) < 3 {
			return nil, script.ErrApart // or nothing was to be pushed
		}
		return r[2], nil
	}
	ctx = trace.ContextWithSpan(ctx, end.span)
	m, err := end.push()
	switch joins, ok := c.pub.(joiner); {
	case err != nil:
		return completed{}, nil // the record's way comes to the same, and says so
	case m == nil:
		_, err = store(ctx, script.Append{})
	case ok:
		_, err = script.Publish(ctx, joins, c.rdb, *m, store)
	default:
		return completed{}, nil
	}
	if done.stored || notWithin(err) {
		err = nil
	}
	if done.stored {
		c.metrics.ended(end.x.metricKind(), StateCompleted)
		c.metrics.attempts.WithLabelValues(end.x.metricKind(), string(StateCompleted)).Inc()
	}
	return done, err
}

// runComplete runs the script.
func (c *Client) runComplete(ctx context.Context, end *completion, remove tasks.Removal, s script.Append) (reply, error) {
	x, now, script := end.x, c.clock.now(ctx), c.scripts["complete"]
	var fields []any
	if x.record == noRecord {
		fields = x.plain.fields(StateCompleted, 1, now)
	}
	task := 0
	if len(remove.Keys) > 0 {
		task = 1
	}
	all := make([]any, 0, 8+len(fields)+len(remove.Args)+len(s.Args))
	all = append(all, x.id, ms(now), msOf(x.opts.Retention), x.to, end.result, ms(x.began), task, len(fields))
	all = append(append(append(all, fields...), remove.Args...), s.Args...)
	if s.Body != "" {
		script = c.completing(s.Body)
	}
	v, err := c.combine.run(ctx, script, slices.Concat(c.job(x.id), remove.Keys, s.Keys), all).Slice()
	if err != nil {
		return nil, fmt.Errorf("jobs: complete job %q: %w", x.id, err)
	}
	return v, nil
}
