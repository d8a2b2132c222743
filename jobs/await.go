package jobs

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Where a script cannot make both, a record comes before its task, so that nobody
// runs what no record knows. Redis may refuse the task then, or the process die. A
// record whose task nobody has seen in the queue says so in its field "opened": the
// generation. That is taken away in the script that puts the task in, so that a
// task which is gone later is one that was taken away.
//
// Whoever repeats the call puts the task in, and else a watchdog does. Not for an
// ID that was drawn at random: whoever repeats that call makes another job, which
// would then run beside this one, so a record of that kind is taken back, or ends as
// lost.

// awaited is a record that waits for its task, where one script can compare both.
type awaited struct {
	record string
	gen    string
	only   string // 1 for a watchdog, see awaits.lua
}

type awaitedKey struct{}

// submitAwaited puts the task of a record into Asynq's queue, unless a run of it
// has begun or it is over. only is for a watchdog: not when somebody has seen it
// in the queue meanwhile. taken is true when it did not.
func submitAwaited(ctx context.Context, c *Client, t *task, only bool) (taken bool, err error) {
	if c.single() {
		ctx = context.WithValue(ctx, awaitedKey{}, &awaited{record: c.job(t.id)[0], gen: strconv.Itoa(t.gen), only: strconv.Itoa(flag(only))})
	}
	taken, err = c.submit(ctx, t)
	if err == nil && !taken && !c.single() {
		noteEnqueued(ctx, c, t.id)
	}
	return taken, err
}

// settleAwaited is submitAwaited where a task of that ID may be a former job's.
func settleAwaited(ctx context.Context, c *Client, t *task, only bool) error {
	taken, err := submitAwaited(ctx, c, t, only)
	if err == nil && taken {
		if err = c.supplant(ctx, t); err == nil {
			noteEnqueued(ctx, c, t.id)
		}
	}
	return err
}

// noteEnqueued notes that the task of a record has been seen in the queue.
func noteEnqueued(ctx context.Context, c *Client, id string) {
	if err := c.rdb.HDel(ctx, c.job(id)[0], openedField).Err(); err != nil {
		c.log.DebugContext(ctx, "job still counts as not enqueued", "id", id, "error", err)
	}
}

// awaitsTask tells whether nobody has seen the task of the present generation in
// the queue.
func (r *record) awaitsTask() bool {
	return r.opened == r.Gen && !r.over() && r.Started.IsZero() && (r.State == StateQueued || r.State == StateScheduled)
}

// enqueueAwaited puts the task of such a generation into the queue.
func enqueueAwaited(ctx context.Context, c *Client, rec *record) error {
	t := &task{id: rec.ID, gen: rec.Gen, kind: rec.Kind, queue: rec.Queue, payload: rec.payload, opts: rec.opts, at: rec.NextAt, made: c.clock.now(ctx)}
	return settleAwaited(ctx, c, t, true)
}

// awaiting returns the script of Asynq's with this text within awaits.lua.
func (s *store) awaiting(text string) *redis.Script {
	known, ok := s.awaits.Load(text)
	if !ok {
		known, _ = s.awaits.LoadOrStore(text, redis.NewScript(function("theirs", text)+s.await))
	}
	script, _ := known.(*redis.Script)
	return script
}
