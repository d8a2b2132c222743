package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxFlights is how many script calls, or pipelines of them, are under way
	// at once before calls begin to share.
	maxFlights = 3
	// maxBatch bounds a pipeline.
	maxBatch = 64
	// batchTimeout bounds a pipeline, which does not end with the context of
	// any one of those who wait for it.
	batchTimeout = 10 * time.Second
)

// combiner lets concurrent script calls share pipelines, which saves most of a
// busy pool's system calls. A call that finds few under way goes at once and
// alone; the others queue, and whoever lands sends the next batch off with the
// first in the queue. Nothing waits for a timer and no goroutine is needed.
type combiner struct {
	rdb redis.UniversalClient

	mu     sync.Mutex
	flying int
	queue  []*call
}

// call is one script call.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
	lead   chan []*call // the batch that its caller has to send
	done   chan struct{}
	cmd    *redis.Cmd
}

// run calls a script. When ctx ends early the script may still run.
func (c *combiner) run(ctx context.Context, script *redis.Script, keys []string, args []any) *redis.Cmd {
	c.mu.Lock()
	if c.flying < maxFlights {
		c.flying++
		c.mu.Unlock()
		defer c.land()
		return script.Run(ctx, c.rdb, keys, args...)
	}
	t := &call{script: script, keys: keys, args: args, lead: make(chan []*call, 1), done: make(chan struct{})}
	c.queue = append(c.queue, t)
	c.mu.Unlock()
	select {
	case <-t.done:
		return t.cmd
	case batch := <-t.lead: // a leader flies even when its context has ended
		defer c.land()
		c.fly(ctx, batch)
		return t.cmd
	}
}

// land sends the next batch off, or leaves a place free.
func (c *combiner) land() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.flying--
		return
	}
	n := min(len(c.queue), maxBatch)
	batch := append([]*call(nil), c.queue[:n]...)
	c.queue = append(c.queue[:0], c.queue[n:]...)
	batch[0].lead <- batch
}

func (c *combiner) fly(ctx context.Context, batch []*call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
	defer cancel()
	pipe := c.rdb.Pipeline()
	for _, t := range batch {
		t.cmd = t.script.EvalSha(ctx, pipe, t.keys, t.args...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, t := range batch {
		if redis.HasErrorPrefix(t.cmd.Err(), "NOSCRIPT") {
			t.cmd = t.script.Run(ctx, c.rdb, t.keys, t.args...)
		}
		if i > 0 {
			close(t.done)
		}
	}
}
