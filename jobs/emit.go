package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"lastmile/push"
)

// Emit pushes an action into each session that wants to hear of the job, as
// push.Session.Trigger does: in order with the session's other pushes, none in place
// of another. ctx is the one that the handler was given, or that a step of [Do] was.
// data is a JSON object or nil. A job without a session pushes nothing.
//
// Each push is stored once, however often the handler runs: its ID is made of the
// job, its generation, the step, the action, and how often that was pushed before
// in the same run or step. So a handler that pushes has to push the same actions in
// the same order in each run; within a step of Do, what is pushed goes with the step.
// (A push that is repeated later than the push transport remembers IDs, 24 hours by
// default, may be doubled.)
//
// It returns once the pushes are stored. With an error (push.ErrMailboxFull and the
// others that Publisher.Publish names), some may be; let the handler fail with it,
// and the next run pushes what is missing.
func Emit(ctx context.Context, action string, data any) error {
	x, ok := ctx.Value(executionKey{}).(*execution)
	if !ok {
		return fmt.Errorf("jobs: emit %s: %w: not within a handler of a job", action, ErrInvalid)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("jobs: emit %s: %w: %w", action, ErrInvalid, err)
	}
	if data == nil {
		raw = nil
	}
	if err := x.journal.load(ctx, x); err != nil {
		return fmt.Errorf("jobs: emit %s: %w", action, err)
	}
	to, err := x.audienceNow(ctx)
	if err != nil {
		return fmt.Errorf("jobs: emit %s: %w", action, err)
	}
	scope := StepID(ctx)
	n := x.journal.count(scope, action)
	for _, d := range to {
		m := push.Message{ID: emitID(x, scope, action, n), Session: d.Session, Action: action, Data: raw}
		if _, bad := x.pool.client.pub.Publish(ctx, m); bad != nil {
			err = errors.Join(err, bad)
		}
	}
	if err != nil {
		x.journal.uncount(scope, action) // tried again, it is the same push
		return fmt.Errorf("jobs: emit: %w", err)
	}
	return nil
}

func emitID(x *execution, scope, action string, n int) string {
	return "emit:" + digest(x.id, strconv.Itoa(x.gen), scope, action, strconv.Itoa(n))
}

// count counts what a step, or the run outside of steps, does under a name.
func (j *journal) count(scope, name string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.counts == nil {
		j.counts = map[string]map[string]int{}
	}
	if j.counts[scope] == nil {
		j.counts[scope] = map[string]int{}
	}
	j.counts[scope][name]++
	return j.counts[scope][name]
}

// uncount takes back what came to nothing.
func (j *journal) uncount(scope, name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts[scope][name]--
}

// audienceNow returns the sessions that want to hear of the job: others may have
// asked for it since the run began.
func (x *execution) audienceNow(ctx context.Context) ([]dest, error) {
	c := x.pool.client
	v, err := c.rdb.HMGet(ctx, c.job(x.id)[0], "to0", "ton").Result()
	if err != nil {
		return nil, fmt.Errorf("read its sessions: %w", err)
	}
	first, _ := v[0].(string)
	count, _ := v[1].(string)
	all, _ := strconv.Atoi(count)
	return c.notify.some(ctx, x.id, first, all), nil
}

// SessionID returns the ID of the session that asked for the job, or of the first of
// several; it is empty when none did. A Publisher's Session makes a handle of it, for
// pushes beside those of [Emit]. Keep it out of logs.
func (j *Job[A]) SessionID() string {
	if j.x == nil {
		return ""
	}
	return j.x.asker
}
