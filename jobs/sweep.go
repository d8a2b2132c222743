package jobs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

const (
	// sweepTogether is how many queues one script looks after, for all others
	// wait for it.
	sweepTogether = 500
)

// sweep looks after the queues. due is when the next task is, or less than zero.
func (w *waker) sweep(ctx context.Context) (due time.Duration, err error) {
	due = -1
	each := sweepTogether
	if !w.p.client.single() {
		each = 1
	}
	for queues := range slices.Chunk(w.queues, each) {
		soon, failed := w.sweepSome(ctx, queues)
		err = errors.Join(err, failed)
		if soon >= 0 && (due < 0 || soon < due) {
			due = soon
		}
	}
	return due, err
}

func (w *waker) sweepSome(ctx context.Context, queues []string) (due time.Duration, err error) {
	c := w.p.client
	keys, args := make([]string, 1, 1+8*len(queues)), make([]any, 0, 5+len(queues))
	keys[0] = w.swept
	if !c.single() {
		keys[0] = c.swept(queues[0])
	}
	args = append(args, c.wakes(), c.blind(), w.id, msOf(w.p.cfg.Lease), msOf(stuckBelow(w.p.cfg.Lease)))
	for _, pending := range queues {
		base := strings.TrimSuffix(pending, "pending")
		scheduled, retry := c.known.Names.Delayed(c.known.Names.QueueOf(pending))
		keys = append(keys, pending, base+"paused", scheduled, retry, base+"lease", c.idle(pending), c.own(pending), base+"active")
		args = append(args, base)
	}
	v, err := c.run(ctx, "sweep", keys, args...).Slice()
	if err != nil {
		return -1, err
	}
	r := reply(v)
	for i := range r.list(1) { // Redis may have forgotten who waits
		w.Set(queues[r.list(1).num(i)-1], false)
	}
	for i := range r.list(2) {
		w.Expire(queues[r.list(2).num(i)-1], r.num(5))
	}
	w.noteTaken(ctx, r.list(3), r.num(6))
	w.noteStuck(ctx, queues, r.list(4))
	return time.Duration(r.num(0)) * time.Millisecond, nil
}

// noteTaken tells of tasks that were taken from workers: pairs of a queue and a task;
// and how many of these are charged with the death.
func (w *waker) noteTaken(ctx context.Context, taken reply, charged int64) {
	w.p.client.metrics.deaths.Add(float64(charged))
	for i := 1; i < len(taken); i += 2 {
		w.p.client.metrics.takeovers.Inc()
		w.p.log.WarnContext(ctx, "worker is silent: its job runs again", "task", taken.str(i))
	}
}

// noteStuck has the sessions told of tasks whose workers seem to be dead, likewise.
func (w *waker) noteStuck(ctx context.Context, queues []string, stuck reply) {
	byQueue := make(map[string][]string)
	for i := 1; i < len(stuck); i += 2 {
		q := queues[stuck.num(i-1)-1]
		byQueue[q] = append(byQueue[q], stuck.str(i))
	}
	for q, ids := range byQueue {
		if err := w.p.client.watchdog.suspect(ctx, w.p.client.own(q), ids, stuckBelow(w.p.cfg.Lease)); err != nil && ctx.Err() == nil {
			w.p.log.WarnContext(ctx, "stalled jobs not told of", "error", err)
		}
	}
}
