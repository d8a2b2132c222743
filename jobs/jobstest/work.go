package jobstest

import (
	"context"
	"fmt"
	"sync"

	"lastmile/jobs"
)

// Work runs one job for real, through Redis, Asynq and a worker of its own, and
// returns its result, or the failure as the page would learn it.
func Work[A, R any](k *Kit, kind *jobs.Kind[A, R], fn func(context.Context, *jobs.Job[A]) (R, error), args A, opts ...jobs.Option) (R, error) {
	k.t.Helper()
	var zero R
	w := k.Start(jobs.PoolConfig{Concurrency: 1}, func(p *jobs.Pool) { kind.Handle(p, fn) })
	h, err := kind.With(k.Client).Enqueue(k.t.Context(), args, opts...)
	if err != nil {
		return zero, err
	}
	info := k.Wait(h.ID)
	if err := w.Stop(); err != nil {
		return zero, err
	}
	if info.State != jobs.StateCompleted {
		return zero, fmt.Errorf("job %s: %w", info.State, jobs.UserError(info.Code, info.Error))
	}
	return kind.Result(info)
}

// Inline makes Enqueue return only after the job has ended, for tests of code
// that enqueues and looks at the effect. Give its Middleware to New, and start
// a worker.
type Inline struct {
	mu  sync.Mutex
	kit *Kit
}

// Middleware waits for each job.
func (i *Inline) Middleware(next func(context.Context, *jobs.Work) (jobs.Handle, error)) func(context.Context, *jobs.Work) (jobs.Handle, error) {
	return func(ctx context.Context, w *jobs.Work) (jobs.Handle, error) {
		h, err := next(ctx, w)
		i.mu.Lock()
		k := i.kit
		i.mu.Unlock()
		if err != nil || k == nil {
			return h, err
		}
		h.State = k.Wait(h.ID).State //nolint:contextcheck // it waits with the test
		return h, nil
	}
}

// Use sets the kit whose jobs are waited for; before it nothing is.
func (i *Inline) Use(k *Kit) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kit = k
}
