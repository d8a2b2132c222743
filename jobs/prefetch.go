package jobs

import (
	"context"
	"fmt"
	"time"

	"lastmile/jobs/internal/tasks"
)

// take takes up to n tasks out of a queue. The script puts those that are not
// this application's back by itself.
func (p *Pool) take(ctx context.Context, q tasks.Queue, lease any, n int) (taken []tasks.Task, left bool, err error) {
	records, worker := "", ""
	if p.waker != nil {
		worker = p.waker.id
	}
	if p.client.single() {
		records = p.client.records()
	}
	keys := []string{q.Pending, q.Paused, q.Active, q.Lease, q.Scheduled, p.client.idle(q.Pending)}
	v, err := p.client.run(ctx, "take", keys, lease, q.Prefix, n, records, p.mark, worker).Slice()
	if err != nil {
		return nil, false, err // Asynq knows what to make of it
	}
	out := make([]tasks.Task, 0, len(v)/4)
	for i := 1; i+3 < len(v); i += 4 {
		r := reply(v[i : i+4])
		t := tasks.Task{ID: r.str(0), Message: r.str(1), Standing: tasks.Standing(r.num(2)), Dest: r.str(3)}
		if t.Standing == tasks.Foreign {
			p.client.foreign.note(ctx, t.Message)
			continue
		}
		out = append(out, t)
	}
	return out, reply(v).num(0) > 0, nil
}

// giveBack returns tasks that have been held for longer than d to their queue.
func (p *Pool) giveBack(ctx context.Context, d time.Duration) {
	held := p.prefetch.Overdue(d)
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	queue := held[0].Queue // there is one
	args := []any{queue.Prefix, p.client.wakes(), p.client.blind()}
	for _, t := range held {
		args = append(args, t.ID)
	}
	err := p.client.run(ctx, "untake", []string{queue.Pending, queue.Active, queue.Lease, p.client.idle(queue.Pending)}, args...).Err()
	if err != nil {
		p.log.WarnContext(ctx, "tasks not given back", "error", fmt.Errorf("jobs: give %d tasks back: %w", len(held), err))
		p.prefetch.Restore(held)
	}
}
