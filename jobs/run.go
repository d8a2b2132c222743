package jobs

import (
	"context"

	"lastmile/jobs/internal/tasks"
)

// recordState is what a job's record knows of a run of its handler.
//
// A job's first run usually ends within milliseconds, and well. On a single
// server such a job costs three scripts: put.lua makes its record and its task,
// take.lua hands the task out and says that no run has begun, and complete.lua
// ends the job, pushes the end and removes the task. Nothing else is written. The
// first thing that needs more has the record know of the run before (join.lua):
// the first heartbeat, progress, a failure, a snooze, a stop of the worker.
//
// What begin.lua is for is not lost. That the job may run is seen as its task is
// taken: its record is open, nobody has cancelled it, and no run has begun. The
// fence is that all of this still holds at the end, else the record decides. A
// start that left no trace because its worker died was no attempt: see deaths.go.
// A job with one attempt only always begins in its record all the same, which lets
// it end in a full Redis: what it came to is not tried again.
type recordState int

const (
	// recordKnows: the record has the run, by begin.lua or join.lua.
	recordKnows recordState = iota
	// recordUnaware: there is a record, which knows of no run yet.
	recordUnaware
	// noRecord: only Asynq knows of the job, which is a plain one.
	noRecord
)

// mayRunUnrecorded tells whether a job's first run may begin without a word to
// its record: nothing hangs on the beginning.
func (s *settings) mayRunUnrecorded() bool {
	return s.follow == nil && len(s.limits) == 0 && s.maxRetry > 0 &&
		s.actions[eventStarted] == "" && s.actions[string(StateStalled)] == ""
}

// runUnrecorded makes x the first run of its job that the record need not know
// of, if it is one. before is true when Asynq has counted a start that the record
// may not know of.
func (p *Pool) runUnrecorded(ctx context.Context, x *execution, retried int) (before bool) {
	standing, dest := p.prefetch.Standing(x.task())
	switch {
	case standing == tasks.Untold || x.record == noRecord:
		return false
	case retried > 0:
		return true
	case standing != tasks.Unbegun:
		return false
	}
	x.record, x.to, x.attempt, x.limit = recordUnaware, dest, 1, x.opts.Limit
	if dest == "" {
		return false
	}
	var err error
	x.waiting = 1
	if x.dests, err = p.client.dests.parse(x.kind, dest); err != nil {
		p.log.ErrorContext(ctx, "job has an unreadable destination", "id", x.id, "error", err)
	}
	return false
}

// begunBefore tells whether the task of a plain job says that its record knows
// of a run.
func begunBefore(taken *tasks.Prefetch, x *execution) bool {
	standing, _ := taken.Standing(x.task())
	return standing == tasks.Begun
}
