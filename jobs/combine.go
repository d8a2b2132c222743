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
	maxFlights = 2
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
	sha  string
	keys []string
	args []any
	lead chan []*call // the batch that its caller has to send
	done chan struct{}
	cmd  *redis.Cmd
}

// run calls a script. When ctx ends early the script may still run.
func (c *combiner) run(ctx context.Context, script *redis.Script, keys []string, args []any) *redis.Cmd {
	cmd := c.do(ctx, &call{sha: script.Hash(), keys: keys, args: args})
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return script.Eval(ctx, c.rdb, keys, args...)
	}
	return cmd
}

// do makes a call, of a script that Redis knows.
func (c *combiner) do(ctx context.Context, t *call) *redis.Cmd {
	c.mu.Lock()
	if c.flying < maxFlights {
		c.flying++
		c.mu.Unlock()
		defer c.land()
		return c.rdb.EvalSha(ctx, t.sha, t.keys, t.args...)
	}
	t.lead, t.done = make(chan []*call, 1), make(chan struct{})
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
		t.cmd = pipe.EvalSha(ctx, t.sha, t.keys, t.args...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for _, t := range batch[1:] {
		close(t.done)
	}
}

// sharing is a client for Asynq, whose scripts share the pipelines too.
type sharing struct {
	redis.UniversalClient
	combine *combiner
}

// EvalSha calls a script; Asynq runs all of its scripts through it first.
func (s sharing) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return s.combine.do(ctx, &call{sha: sha, keys: keys, args: args})
}
