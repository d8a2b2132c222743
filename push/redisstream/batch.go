package redisstream

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxFlights is how many appends, or batches of them, are under way at
	// once: enough to keep Redis busy while others are being read and written.
	maxFlights = 4
	// maxBatch bounds a batch.
	maxBatch = 64
	// batchTimeout bounds a batch, since it does not end with the context of
	// any one of those who wait for it.
	batchTimeout = 10 * time.Second
)

// batcher lets concurrent calls share pipelines. A call that finds fewer than
// maxFlights under way goes at once and alone; the others queue, and whoever
// lands has the first in the queue take off with the next batch. So nothing
// waits for a timer, batches grow with the load, and only a batch has a
// goroutine, which may outlive its leader's patience.
type batcher struct {
	one  func(ctx context.Context, c call) ([]any, error)
	many func(ctx context.Context, calls []call, done func(i int, reply []any, err error))

	mu     sync.Mutex
	flying int
	queue  []*ticket
}

// ticket is a call in the queue.
type ticket struct {
	call  call
	pilot bool           // has been given a batch
	lead  chan []*ticket // the batch that its caller has to run
	done  chan landing
}

type landing struct {
	reply []any
	err   error
}

// do runs a call, maybe together with others'.
func (b *batcher) do(ctx context.Context, c call) ([]any, error) {
	b.mu.Lock()
	if b.flying < maxFlights {
		b.flying++
		b.mu.Unlock()
		defer b.land()
		return b.one(ctx, c)
	}
	t := &ticket{call: c, lead: make(chan []*ticket, 1), done: make(chan landing, 1)}
	b.queue = append(b.queue, t)
	b.mu.Unlock()

	select {
	case l := <-t.done:
		return l.reply, l.err
	case batch := <-t.lead:
		return b.lead(ctx, t, batch)
	case <-ctx.Done():
	}
	b.mu.Lock()
	if i := slices.Index(b.queue, t); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	pilot := t.pilot
	b.mu.Unlock()
	if pilot {
		return b.lead(ctx, t, <-t.lead)
	}
	return nil, ctx.Err()
}

// lead has a batch run that t is part of. It goes on when ctx ends: others
// depend on it.
func (b *batcher) lead(ctx context.Context, t *ticket, batch []*ticket) ([]any, error) {
	go b.fly(context.WithoutCancel(ctx), batch)
	select {
	case l := <-t.done:
		return l.reply, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly runs a batch.
func (b *batcher) fly(ctx context.Context, batch []*ticket) {
	defer b.land()
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	calls := make([]call, len(batch))
	for i, other := range batch {
		calls[i] = other.call
	}
	b.many(ctx, calls, func(i int, reply []any, err error) { batch[i].done <- landing{reply, err} })
}

// land gives the place of a flight that has ended to the queue.
func (b *batcher) land() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.flying--
		return
	}
	n := min(len(b.queue), maxBatch)
	batch := slices.Clone(b.queue[:n])
	b.queue = slices.Delete(b.queue, 0, n)
	batch[0].pilot = true
	batch[0].lead <- batch
}
