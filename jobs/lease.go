package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

// holder looks after the tasks that a pool has taken.
type holder struct{ p *Pool }

// own names the leases of a queue's tasks by which workers watch over each other,
// beside its list in the same slot.
func (k keys) own(pending string) string { return k.prefix + ":jobs:own:" + pending }

// lose ends the execution that a hand-out was for.
func (h holder) lose(ctx context.Context, l tasks.Lease) {
	p := h.p
	if !p.prefetch.Lose(l) || p.parked.Has(l.ID) { // it was parked, by itself
		return
	}
	p.client.metrics.lost.Inc()
	p.log.WarnContext(ctx, "job was taken over by another worker: this one was silent for too long", "task", l.ID)
	p.mu.Lock()
	defer p.mu.Unlock()
	for x := range p.running[tasks.JobOf(l.ID)] {
		if x.task() == l.ID {
			x.lose()
		}
	}
}

// keepLeases renews the leases of all tasks that the pool has until ctx ends. One
// that cannot be renewed because Redis is away ends nothing: nobody else can take
// the task either. It is tried again soon, for others may be quick to sweep.
func (h holder) keepLeases(ctx context.Context) {
	p := h.p
	timer := time.NewTimer(p.cfg.Beat)
	defer timer.Stop()
	for told := (time.Time{}); ; {
		if time.Since(told) >= tellLengthEvery && h.tellLength(ctx) == nil {
			told = time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := time.Now().Add(p.cfg.Beat)
		if h.beat(ctx) {
			h.kept()
		} else {
			next = time.Now().Add(p.cfg.Beat / 5)
		}
		timer.Reset(time.Until(next))
	}
}

// keepFirst renews the leases if that is late, so that a run never looks alive
// while its lease does not: it would be said to have stalled once more.
func (h holder) keepFirst(ctx context.Context) {
	p := h.p
	if p.waker == nil {
		return
	}
	select { // not a mutex: who waits for Redis holds it
	case p.keeping <- struct{}{}:
		defer func() { <-p.keeping }()
	case <-ctx.Done():
		return
	}
	if last := p.kept.Load(); (last == nil || time.Since(*last) > p.cfg.Beat*6/5) && h.beat(ctx) {
		h.kept() // then the others need not as well
	}
}

// kept notes that all leases are renewed.
func (h holder) kept() {
	now := time.Now()
	h.p.kept.Store(&now)
}

// beat renews all leases, and returns whether all answers came.
func (h holder) beat(ctx context.Context) (all bool) {
	p := h.p
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Beat)
	defer cancel()
	all = true
	for queue, leases := range p.prefetch.Leased(p.pending.Has) {
		for some := range slices.Chunk(leases, keepTogether) {
			if err := h.keep(ctx, queue, some); err != nil {
				all = false
				p.log.DebugContext(ctx, "leases not renewed", "error", err)
			}
		}
	}
	return all
}

// keepTogether is how many leases one script renews, for all others wait for it.
const keepTogether = 500

func (h holder) keep(ctx context.Context, q tasks.Queue, leases []tasks.Lease) error {
	p := h.p
	args := []any{q.Prefix, msOf(p.cfg.Lease)}
	tokens := make(map[string]string, len(leases))
	for _, l := range leases {
		args = append(args, l.ID, l.Token)
		tokens[l.ID] = l.Token
	}
	lost, err := p.client.run(ctx, "keep", []string{p.client.own(q.Pending), q.Lease}, args...).StringSlice()
	for _, id := range lost {
		h.lose(ctx, tasks.Lease{ID: id, Token: tokens[id]})
	}
	return err
}

// guarded calls a script of Asynq's behind the guard.
func (h holder) guarded(ctx context.Context, text string, keys []string, args []any) *redis.Cmd {
	p := h.p
	cmd := p.client.combine.run(ctx, p.client.guarding(text), keys, args)
	if s, err := cmd.Text(); err == nil && s == "FENCED" {
		p.client.metrics.fenced.Inc()
		cmd = redis.NewCmd(ctx)
		cmd.SetVal("OK") // the task is another worker's: Asynq is to let go of it
	}
	return cmd
}

// handOut returns the keys of a job's record and, where a script can compare it,
// the key of its task, which has the token of its last hand-out; and the token of
// x's. void is true when it was compared here, and the task is another worker's.
func handOut(ctx context.Context, c *Client, x *execution) (keys []string, token string, void bool, err error) {
	keys, token = c.job(x.id), x.pool.prefetch.Token(x.task())
	task := c.tasks.Key(c.inAsynq(x.queue), x.task())
	switch {
	case token == "" || task == "": // leases are Asynq's alone
		return keys, "", false, nil
	case c.single():
		return append(keys, task), token, false, nil
	}
	holder, err := c.rdb.HGet(ctx, task, "lmh").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return keys, token, false, fmt.Errorf("jobs: ask who has the task of job %q: %w", x.id, err)
	}
	return keys, token, holder != token, nil
}

// leaseMetrics count what becomes of leases.
type leaseMetrics struct {
	takeovers, lost, fenced, deaths prometheus.Counter
	alone                           prometheus.Gauge
}

func newLeaseMetrics() leaseMetrics {
	return leaseMetrics{
		takeovers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jobs_takeovers_total", Help: "Jobs that this process took from workers which were silent for too long.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jobs_lost_leases_total", Help: "Jobs that were taken from this process because it was silent for too long.",
		}),
		fenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jobs_fenced_total", Help: "Calls about jobs taken from this process that Redis was kept from.",
		}),
		deaths: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jobs_deaths_total", Help: "Jobs that this process took from workers which died with nothing else: they are charged with that.",
		}),
		alone: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jobs_alone", Help: "How many pools of this process are kept for a job alone, because workers died that had it.",
		}),
	}
}

func (m *leaseMetrics) register(r prometheus.Registerer, failed *error) {
	m.takeovers = register(r, m.takeovers, failed)
	m.lost = register(r, m.lost, failed)
	m.fenced = register(r, m.fenced, failed)
	m.deaths = register(r, m.deaths, failed)
	m.alone = register(r, m.alone, failed)
}
