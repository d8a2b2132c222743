package jobs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The record of a plain job that completed and Asynq's "task is done" share a
// pipeline, the record first: that saves the job a round trip of its own. The
// end waits here for the moment, microseconds, until Asynq takes its task out;
// what Asynq does not come for (it lost the lease, say) is stored anyhow.

const (
	endsEvery = time.Second
	endsAfter = 2 * time.Second
)

type ends struct {
	mu      sync.Mutex
	waiting map[string]*plainEnd // by task ID
}

type plainEnd struct {
	x      *execution
	result []byte
	at     time.Time
}

func (e *ends) put(x *execution, result []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting[x.id] = &plainEnd{x, result, time.Now()}
}

// take returns the end that belongs to a call of Asynq's, if it is the one that
// takes a task out for good: its keys begin with the active list, and it puts
// the task into no other list.
func (e *ends) take(keys []string, args []any) *plainEnd {
	if len(keys) < 5 || len(args) == 0 || !strings.HasSuffix(keys[0], ":active") || strings.HasSuffix(keys[2], ":pending") {
		return nil
	}
	id, ok := args[0].(string)
	if !ok {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.waiting[id]
	delete(e.waiting, id)
	return end
}

// overdue takes the ends out that have waited for longer than d.
func (e *ends) overdue(d time.Duration) []*plainEnd {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*plainEnd
	for id, end := range e.waiting {
		if time.Since(end.at) >= d {
			out = append(out, end)
			delete(e.waiting, id)
		}
	}
	return out
}

// keepEnds stores what Asynq does not come for, and gives back what it does not
// take, until ctx ends.
func (p *Pool) keepEnds(ctx context.Context) {
	tick := time.NewTicker(endsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.storeEnds(ctx, endsAfter)
			p.giveBack(ctx, heldFor)
		}
	}
}

func (p *Pool) storeEnds(ctx context.Context, after time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistFor)
	defer cancel()
	for _, end := range p.ends.overdue(after) {
		_, _ = p.storeEnd(ctx, end) // its verdict for Asynq comes too late, its failure is logged
	}
}

// sharesEnds tells whether the ends of plain jobs go with Asynq's own: not on a
// cluster, where a pipeline has no order.
func (p *Pool) sharesEnds() bool {
	_, single := p.client.rdb.(*redis.Client)
	return single
}

// server is Asynq's client in a pool.
type server struct {
	sharing
	pool *Pool
	hook *serverHook
}

// EvalSha calls a script: to take tasks, several at a time; to take a plain
// job's task out, after that of the job's end; and any other as it is.
func (s server) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := detach(ctx)
	defer cancel()
	if queue, ok := takes(keys, args); ok && s.pool.ahead.slots > 0 {
		return s.take(ctx, queue, args[0])
	}
	defer s.pool.ahead.settled(args)
	t := &call{sha: sha, keys: keys, args: args}
	end := s.pool.ends.take(keys, args)
	if end != nil {
		t.before = s.pool.client.completion(end.x, end.result)
	}
	cmd := s.combine.do(ctx, t)
	s.hook.pace(ctx, cmd.Err())
	if end != nil {
		n, err := t.before.cmd.Int()
		switch {
		case err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT"):
			s.pool.ends.put(end.x, end.result) // Asynq repeats its own call too
		case err != nil || n == 0: // there is a record
			_, _ = s.pool.storeEnd(context.WithoutCancel(ctx), end) // Asynq has the task out; a failure is logged
		}
	}
	return cmd
}

// completion is the call that stores a plain job's end.
func (c *Client) completion(x *execution, result []byte) *call {
	now := time.Now()
	args := append([]any{msOf(x.opts.Retention)}, x.plain.fields(StateCompleted, 1, now)...)
	args = append(args, "fin", 1, "run", 1, "start", ms(x.began), "end", ms(now), "res", result)
	return &call{sha: c.scripts["complete"].Hash(), keys: slices.Clip(c.job(x.id)[:1]), args: args}
}
