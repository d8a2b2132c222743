package jobs

import (
	"context"
	"fmt"
	"time"

	"lastmile/jobs/internal/tasks"
)

// openStale opens a unique job again whose last generation is over: with what is
// asked for now.
func (c *Client) openStale(ctx context.Context, t *task, s *settings, to string) (Handle, error) {
	if err := c.notify.deliver(ctx, t.id); err != nil {
		return Handle{}, err
	}
	rec, err := c.load(ctx, t.id)
	if err != nil {
		return Handle{}, err
	}
	h := Handle{ID: t.id, Gen: rec.Gen, State: rec.State, Existing: true}
	if !rec.over() {
		return h, fmt.Errorf("%w: job %q", errChanged, t.id)
	}
	gen, err := c.reopen(ctx, rec, t, s, to)
	if err != nil {
		return h, err
	}
	if gen <= 0 {
		return h, fmt.Errorf("%w: job %q", errChanged, t.id)
	}
	return Handle{ID: t.id, Gen: gen, State: t.state(t.made)}, nil
}

// reopen opens the next generation of rec, enqueues it and takes the old task
// out of Asynq's archive. It returns 0 or less when another process was faster.
// With t and s it is what they ask for, and to gets its events, else it is as it
// was.
func (c *Client) reopen(ctx context.Context, rec *record, t *task, s *settings, to string) (gen int, err error) {
	now, token := c.clock.now(ctx), newToken()
	ds := c.notify.some(ctx, rec.ID, rec.first, rec.dests)
	var uni string
	var fields []any
	if t == nil {
		t = &task{id: rec.ID, kind: rec.Kind, queue: rec.Queue, payload: rec.payload, opts: rec.opts, made: now}
	} else {
		if fields, uni, err = c.fields(t, s); err != nil {
			return 0, err
		}
		if ds, err = parseDests(to); err != nil {
			return 0, err
		}
	}
	st := t.state(t.made)
	if s == nil {
		if err := (chains{c}).keep(ctx, rec.follow); err != nil {
			return 0, err
		}
	}
	err = retryBriefly(ctx, func() (err error) {
		args := append([]any{rec.ID, rec.Gen, ms(now), ms(now.Add(firstCheck)), to, uni, token, string(st)}, append(c.limits.again(t), fields...)...)
		gen, err = c.number(ctx, "reopen", rec.ID, args...)
		return err
	})
	if err != nil || gen <= 0 {
		return gen, err
	}
	t.gen = gen
	// Told before a worker can have it.
	c.notify.tell(ctx, eventQueued, &Event{ID: t.id, Kind: t.kind, State: st, Attempts: t.opts.Limit, Gen: gen, NextAt: t.at}, ds,
		fmt.Sprintf("job:%s:%d:queued", t.id, gen))
	if err := settleAwaited(ctx, c, t, false); err != nil {
		return gen, err // a watchdog enqueues it: see awaitsTask
	}
	if err := c.inspect.DeleteTask(c.inAsynq(rec.Queue), tasks.IDOf(rec.ID, rec.Gen)); err != nil {
		c.log.DebugContext(ctx, "old task not removed", "id", rec.ID, "error", err)
	}
	return gen, nil
}

// reopenTries is how often opening a generation is tried: when only its answer
// is lost, the generation is open and nothing would ever run it.
const reopenTries = 4

// retryBriefly repeats f a few times, until it succeeds or ctx ends.
func retryBriefly(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || try == reopenTries {
			return err
		}
		timer := time.NewTimer(retryBase << try)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
