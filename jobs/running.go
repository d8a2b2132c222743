package jobs

import (
	"context"
	"errors"
)

// What runs in a pool, by job.

func (p *Pool) interrupt(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for x := range p.running[id] {
		x.interrupt()
	}
}

// runs tells whether the job is with this process.
func (p *Pool) runs(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running[id]) > 0
}

// cancelForOperator cancels a job as Asynq's own tools ask for.
func (p *Pool) cancelForOperator(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := p.client.Cancel(ctx, id); err != nil && !errors.Is(err, ErrEnded) {
		p.log.WarnContext(ctx, "job not cancelled for an operator", "id", id, "error", err)
	}
}

func (p *Pool) enter(x *execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy++
	p.client.metrics.busy.Inc()
	if p.running[x.id] == nil {
		p.running[x.id] = make(map[*execution]struct{}, 1)
	}
	p.running[x.id][x] = struct{}{}
}

func (p *Pool) leave(x *execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running[x.id], x)
	if len(p.running[x.id]) == 0 {
		delete(p.running, x.id)
	}
	p.busy--
	p.client.metrics.busy.Dec()
	if p.busy == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}
