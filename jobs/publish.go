package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lastmile/push"
)

// How the end of a job becomes a push: `finish` decides it in the record and
// puts the event into the outbox, send stores the push under an ID made of job,
// generation and state, settle empties the outbox. Every step may be repeated.

const (
	// firstCheck is when the watchdog looks at a new job for the first time.
	firstCheck = 20 * time.Second
	// outboxAfter is when the watchdog takes over an undelivered event.
	outboxAfter = 15 * time.Second
	// settleTimeout bounds what is done after the caller has gone.
	settleTimeout = 5 * time.Second
	// timeoutSlack keeps Asynq's own timeout behind ours.
	timeoutSlack = time.Minute
)

// notifier tells sessions of their jobs: of what goes on, best effort, and of
// the end, by way of an outbox in the record.
type notifier struct{ c *Client }

// deliver stores the terminal event of a job, if it is undelivered.
func (n notifier) deliver(ctx context.Context, id string) error {
	rec, err := n.c.load(ctx, id)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}
	if !rec.over() || !rec.outbox {
		return nil
	}
	return n.settle(ctx, rec.event(), rec.Result, rec.audience(), rec.follows(), rec.opts.Retention)
}

// settle sends a terminal event, sets off what follows, and empties the
// outbox. What follows does not wait for a page that nobody reads.
func (n notifier) settle(ctx context.Context, e *Event, result json.RawMessage, to audience, follow string, keep time.Duration) error {
	told, unsent := n.send(ctx, e, result, to.first)
	if to.others {
		unsent = errors.Join(unsent, n.sendOthers(ctx, e, result))
	}
	err := n.c.proceed(ctx, e, follow)
	if unsent != nil {
		var fields []string
		if follow != "" && err == nil {
			fields = append(fields, wentField)
		}
		if len(told) > 0 {
			fields = append(fields, toldField)
		}
		err = errors.Join(err, n.noteTold(ctx, e, fields, nil))
	}
	if err := errors.Join(unsent, err); err != nil {
		return err
	}
	_, err = n.c.number(ctx, "settle", e.ID, e.ID, e.Gen, msOf(keep))
	return err
}

// send stores a terminal event with every destination that has an action for
// it, and returns the sessions that need it no more. One that is too large for a
// push goes without the result. What no repetition can help is logged and passed
// over.
func (n notifier) send(ctx context.Context, e *Event, result json.RawMessage, ds []dest) (told []string, failed error) {
	if !anyBound(ds, string(e.State)) {
		return nil, nil
	}
	data, err := e.data(result)
	if err != nil {
		return nil, fmt.Errorf("jobs: encode event of job %q: %w", e.ID, err)
	}
	for _, d := range ds {
		action := d.action(string(e.State))
		if action == "" {
			continue
		}
		m := push.Message{ID: e.pushID(), Session: d.Session, Action: action, Data: data, Replaces: e.replaces(), Final: true}
		_, err := n.c.pub.Publish(ctx, m)
		if errors.Is(err, push.ErrTooLarge) {
			n.c.log.ErrorContext(ctx, "terminal event is too large for a push, sent without the result",
				"id", e.ID, "session", push.Redact(d.Session), "action", action, "error", err)
			err = n.sendBare(ctx, e, d, m)
		}
		switch {
		case err == nil:
		case hopeless(err):
			n.c.metrics.undeliverable.Inc()
			n.c.log.ErrorContext(ctx, "terminal event refused for good",
				"id", e.ID, "session", push.Redact(d.Session), "action", action, "error", err)
		default:
			failed = errors.Join(failed, fmt.Errorf("jobs: push end of job %q: %w", e.ID, err))
			continue
		}
		told = append(told, d.Session)
	}
	return told, failed
}

// sendBare stores a terminal event without the job's result, which the page
// would take for an empty one: it goes to the action for failures, if there is
// one, and says what is the matter.
func (n notifier) sendBare(ctx context.Context, e *Event, d dest, m push.Message) error {
	bare := *e
	bare.Message = ""
	if bare.State == StateCompleted {
		m.Action = cmp.Or(d.action(string(StateFailed)), m.Action)
		bare.Code, bare.Error = codeTooLarge, "the result is too large to be sent"
	}
	var err error
	if m.Data, err = bare.data(nil); err != nil {
		return fmt.Errorf("jobs: encode event of job %q: %w", e.ID, err)
	}
	_, err = n.c.pub.Publish(ctx, m)
	return err
}

func hopeless(err error) bool {
	return errors.Is(err, push.ErrSessionClosed) || errors.Is(err, push.ErrInvalid) || errors.Is(err, push.ErrTooLarge)
}

// tell pushes a transient event. It is best effort: the next one replaces it,
// and the end does not depend on it.
func (n notifier) tell(ctx context.Context, event string, e *Event, ds []dest, id string) {
	if !anyBound(ds, event) {
		return
	}
	data, err := e.data(nil)
	if err != nil {
		n.c.log.ErrorContext(ctx, "encode event", "id", e.ID, "error", err)
		return
	}
	for _, d := range ds {
		action := d.action(event)
		if action == "" {
			continue
		}
		_, err := n.c.pub.Publish(ctx, push.Message{ID: id, Session: d.Session, Action: action, Data: data, Replaces: e.replaces()})
		if err != nil {
			n.c.log.WarnContext(ctx, "event not pushed", "id", e.ID, "session", push.Redact(d.Session), "action", action, "error", err)
		}
	}
}

func (n notifier) tellQueued(ctx context.Context, t *task, h Handle, s *settings) {
	if s.actions[eventQueued] == "" {
		return
	}
	e := &Event{ID: t.id, Kind: t.kind, State: h.State, Attempts: s.maxRetry + 1, Gen: h.Gen, NextAt: t.at}
	n.tell(ctx, eventQueued, e, []dest{{s.session, s.actions}}, fmt.Sprintf("job:%s:%d:queued", t.id, h.Gen))
}

// tellEnd gives a late requester of a unique job the end that was decided
// before.
func (n notifier) tellEnd(ctx context.Context, id, to string) error {
	if to == "" {
		return nil
	}
	rec, err := n.c.load(ctx, id)
	if err != nil {
		return err
	}
	ds, err := parseDests(to)
	if err != nil || !rec.over() {
		return err
	}
	_, err = n.send(ctx, rec.event(), rec.Result, ds)
	return err
}
