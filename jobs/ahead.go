package jobs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Asynq takes one task at a time, with a round trip to Redis for each, on one
// goroutine: that bounds a worker's rate whatever its concurrency. A pool with
// one queue takes at once as many as it has free slots for, and hands Asynq the
// rest at its next calls, which follow within microseconds.
//
// Nothing else changes. A task that is held is active and leased in Redis like
// any other; there is a free slot for each, so none waits for a handler's end;
// one that is held for longer than heldFor is not handed out any more but given
// back, at the head of the queue with its retries as they were, and so are all
// when the pool stops; those of a process that dies come back with their
// leases, like those it was working on. With several queues Asynq chooses a
// queue for each task, so there is nothing to take ahead, and each is taken when
// it is asked for.

const (
	// heldFor is for how long a task may be held. It is far below the margin
	// of 30 seconds by which Asynq's lease outlives what the worker knows of it.
	heldFor = 500 * time.Millisecond
	// takeMax bounds how many tasks are taken in one script, for all others wait
	// for it.
	takeMax = 500
	// heldMax is when a task that cannot be given back is left to its lease.
	heldMax = 20 * time.Second
	// leftFor is how long a slot counts as taken after its handler has come
	// back, if Asynq says nothing more of the task: the lease was lost.
	leftFor = time.Second
)

// ahead is what a pool has taken.
type ahead struct {
	slots int  // the pool's
	one   bool // queue: there is something to take ahead

	mu     sync.Mutex
	handed map[string]*handedTask // tasks that Asynq has
	held   []heldTask             // in the order they were taken
}

// handedTask is a task that Asynq has.
type handedTask struct {
	mark mark
	to   string    // the destination of a job that nobody has begun
	left time.Time // when the handler came back, or zero
}

type heldTask struct {
	handedTask
	id, msg string
	queue   takeKeys
	at      time.Time
}

// mark is what take.lua says of a task's job.
type mark int64

const (
	markNone  mark = iota // nothing
	markFresh             // nobody has begun it
	markBegun             // somebody may have
)

// takeKeys are the keys and arguments of Asynq's dequeue script.
type takeKeys struct {
	pending, paused, active, lease string
	prefix                         any
}

// takes reads a script call of Asynq's that takes a task out of its queue.
func takes(keys []string, args []any) takeKeys {
	return takeKeys{keys[0], keys[1], keys[2], keys[3], args[1]}
}

// next returns the message of a task that is held, or how many to take.
func (a *ahead) next(queue string, now time.Time) (msg string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.IndexFunc(a.held, func(t heldTask) bool {
		return t.queue.pending == queue && now.Sub(t.at) < heldFor
	}); i >= 0 {
		t := a.held[i]
		a.held = slices.Delete(a.held, i, i+1)
		a.handed[t.id] = &t.handedTask
		return t.msg, 0
	}
	if len(a.handed) >= a.slots { // Asynq asks, so it has a free slot
		for id, t := range a.handed {
			if !t.left.IsZero() && now.Sub(t.left) > leftFor {
				delete(a.handed, id)
			}
		}
	}
	if !a.one {
		return "", 1
	}
	return "", min(max(1, a.slots-len(a.handed)-len(a.held)), takeMax)
}

// keep notes what was taken, of which the first is handed out.
func (a *ahead) keep(queue takeKeys, taken []any, now time.Time) (msg string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := 0; i+3 < len(taken); i += 4 {
		r := reply(taken[i : i+4])
		t := heldTask{handedTask{mark: mark(r.num(2)), to: r.str(3)}, r.str(0), r.str(1), queue, now}
		if i == 0 {
			a.handed[t.id] = &t.handedTask
			msg, ok = t.msg, true
			continue
		}
		a.held = append(a.held, t)
	}
	return msg, ok
}

// mark returns what is known of the job of a task that Asynq has.
func (a *ahead) mark(id string) (m mark, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.handed[id]; t != nil {
		return t.mark, t.to
	}
	return markNone, ""
}

// left notes that the handler of a task has come back.
func (a *ahead) left(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.handed[id]; t != nil {
		t.left = time.Now()
	}
}

// settled notes that Asynq is done with tasks.
func (a *ahead) settled(ids []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		delete(a.handed, id)
	}
}

// overdue takes what has been held for longer than d out, newest first.
func (a *ahead) overdue(d time.Duration) []heldTask {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []heldTask
	a.held = slices.DeleteFunc(a.held, func(t heldTask) bool {
		old := time.Since(t.at) >= d
		if old {
			out = append(out, t)
		}
		return old
	})
	slices.Reverse(out)
	return out
}

// take answers Asynq's call for a task.
func (s server) take(ctx context.Context, queue takeKeys, lease any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	msg, n := s.pool.ahead.next(queue.pending, time.Now())
	if n == 0 {
		cmd.SetVal(msg)
		return cmd
	}
	now, records := time.Now(), ""
	if s.pool.client.single() {
		records = s.pool.client.records()
	}
	taken, err := s.pool.client.run(ctx, "take",
		[]string{queue.pending, queue.paused, queue.active, queue.lease}, lease, queue.prefix, n, records).Slice()
	s.hook.pace(ctx, err)
	msg, ok := s.pool.ahead.keep(queue, taken, now)
	switch {
	case err != nil:
		cmd.SetErr(err)
	case !ok:
		cmd.SetErr(redis.Nil)
	default:
		cmd.SetVal(msg)
	}
	return cmd
}

// giveBack returns tasks that have been held for longer than d to their queue.
func (p *Pool) giveBack(ctx context.Context, d time.Duration) {
	tasks := p.ahead.overdue(d)
	if len(tasks) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	queue := tasks[0].queue // there is one
	args := []any{queue.prefix, time.Now().UnixNano()}
	for _, t := range tasks {
		args = append(args, t.id)
	}
	err := p.client.run(ctx, "untake", []string{queue.pending, queue.active, queue.lease}, args...).Err()
	if err == nil {
		return
	}
	p.log.WarnContext(ctx, "tasks not given back", "error", fmt.Errorf("jobs: give %d tasks back: %w", len(tasks), err))
	p.ahead.mu.Lock()
	defer p.ahead.mu.Unlock()
	for _, t := range slices.Backward(tasks) {
		if time.Since(t.at) < heldMax {
			p.ahead.held = append(p.ahead.held, t)
		}
	}
}
