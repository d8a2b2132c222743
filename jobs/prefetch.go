package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lastmile/jobs/internal/tasks"
)

// take takes up to n tasks out of a queue. The script puts those that are not
// this application's back by itself. A task that this process has already was taken
// from it: it waits until the former execution has left.
func (h holder) take(ctx context.Context, q tasks.Queue, _ any, n int) (taken []tasks.Task, left bool, err error) {
	p := h.p
	if !p.alone.mayTake(ctx) {
		return nil, true, nil
	}
	records, worker, lease, token := "", "", "", ""
	if p.waker != nil {
		worker, lease = p.waker.id, msOf(p.cfg.Lease)
		token = worker + ":" + strconv.FormatInt(p.handOuts.Add(1), 36)
	}
	if p.client.single() {
		records = p.client.records()
	}
	keys := []string{q.Pending, q.Paused, q.Active, q.Lease, q.Scheduled, p.client.idle(q.Pending), p.client.own(q.Pending)}
	v, err := p.client.run(ctx, "take", keys, q.Prefix, n, records, p.mark, worker, lease, token).Slice()
	if err != nil {
		return nil, false, err // Asynq knows what to make of it
	}
	fresh := make([]tasks.Held, 0, len(v)/takenFields)
	var again []tasks.Held
	for i := 1; i+takenFields <= len(v); i += takenFields {
		r := reply(v[i : i+takenFields])
		t := tasks.Task{ID: r.str(0), Message: r.str(1), Standing: tasks.Standing(r.num(2)), Dest: r.str(3), Token: token}
		t.Past = tasks.Past{Losses: int(r.num(4)), Deaths: int(r.num(5)), Suspect: time.Duration(r.num(6)) * time.Millisecond}
		switch {
		case t.Standing == tasks.Foreign:
			p.client.foreign.note(ctx, t.Message)
		case p.prefetch.Has(t.ID):
			again = append(again, tasks.Held{Task: t, Queue: q})
		default:
			fresh = append(fresh, tasks.Held{Task: t, Queue: q})
		}
	}
	h.putBehind(ctx, again)
	left = reply(v).num(0) > 0
	return h.choose(ctx, fresh, left), left, nil
}

// takenFields is how many values take.lua tells of each task.
const takenFields = 7

// choose gives back what the pool does not keep, because one of the tasks is to run
// alone. left tells whether more tasks wait.
func (h holder) choose(ctx context.Context, fresh []tasks.Held, left bool) (taken []tasks.Task) {
	p := h.p
	keep, back, later := p.alone.choose(fresh, left)
	slices.Reverse(back)
	if len(back)+len(later) > 0 {
		err := h.untake(ctx, back, 0)
		err = errors.Join(err, h.untake(ctx, later, int(putOffFor(suspectMin)/time.Second)))
		if err != nil { // their leases run out
			p.log.WarnContext(ctx, "tasks not given back", "error", err)
		}
	}
	if len(back) > 0 || len(keep) == 1 && p.alone.suspects(keep[0].Past) {
		h.giveBack(ctx, 0)
	}
	for _, t := range keep {
		taken = append(taken, t.Task)
	}
	return taken
}

// putBehind has tasks wait that were taken from this process while it still has
// them, and ends the executions that have them.
func (h holder) putBehind(ctx context.Context, again []tasks.Held) {
	p := h.p
	if len(again) == 0 {
		return
	}
	for _, t := range again {
		h.lose(ctx, tasks.Lease{ID: t.ID, Token: p.prefetch.Token(t.ID)})
	}
	if err := h.untake(ctx, again, 1); err != nil { // their leases run out
		p.log.WarnContext(ctx, "tasks not put behind", "error", err)
	}
}

// giveBack returns tasks that have been held for longer than d to their queue.
func (h holder) giveBack(ctx context.Context, d time.Duration) {
	p := h.p
	held := p.prefetch.Overdue(d)
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := h.untake(ctx, held, 0); err != nil {
		p.log.WarnContext(ctx, "tasks not given back", "error", fmt.Errorf("jobs: give %d tasks back: %w", len(held), err))
		p.prefetch.Restore(held)
	}
}

// untake puts tasks of one queue back, at once or after so many seconds.
func (h holder) untake(ctx context.Context, held []tasks.Held, seconds int) error {
	if len(held) == 0 {
		return nil
	}
	p := h.p
	q, c := held[0].Queue, p.client
	args := []any{q.Prefix, c.wakes(), c.blind(), seconds}
	for _, t := range held {
		args = append(args, t.ID, t.Token)
	}
	_, retry := c.known.Names.Delayed(c.known.Names.QueueOf(q.Pending))
	keys := []string{q.Pending, q.Active, q.Lease, c.idle(q.Pending), c.own(q.Pending), cmp.Or(retry, q.Scheduled)}
	return c.run(ctx, "untake", keys, args...).Err()
}
