package delivery

import (
	"time"

	"lastmile/push"
)

// item is a push, or a topic message, on its way into the state.
type item struct {
	entry push.Entry
	from  Source
	// fx is what its run did besides changing the state. It happens once the
	// state is stored; a run that a conflict undoes has done nothing.
	fx Effects

	// redelivered says that another process may have started it before, rerun
	// that the screen may show what it did to the state.
	redelivered, rerun bool
	// looked says that the shared fields were read anew for it.
	looked bool

	tries        int // failures
	deadLettered bool
	// failure says that it has been given up, but the store does not know yet.
	failure *push.Failure

	// counted says that its start has been counted, isolated that it must start
	// so, isolatedBefore that it has before.
	counted, isolated, isolatedBefore bool
	// giveUpAt is when a suspect is given up unless another process survives it.
	giveUpAt time.Time
}

// queue is the order of pushes: what waits, what has to wait, and what the state
// holds but the store does not. At each moment a push is in one of them.
//
//	feed -> backlog -> (run) -> uncommitted -> stored
//	           ^  ^      |           |
//	           |  +-- retry          |
//	           +----- conflict ------+
type queue struct {
	backlog     []*item
	retry       *retry
	uncommitted []*item
	// end is where the page stands once the mount's backlog is done.
	end push.Seq
}

// retry is the push at the head that has to wait.
type retry struct {
	item *item
	at   time.Time // zero when it waits for its turn
	// unstarted says that it has not failed: what comes before the first frame
	// waits for it.
	unstarted bool
}

// pop takes the oldest of the backlog.
func (q *queue) pop() *item {
	if len(q.backlog) == 0 {
		return nil
	}
	it := q.backlog[0]
	q.backlog[0] = nil
	q.backlog = q.backlog[1:]
	return it
}

// postpone puts a push at the head, to be tried at a time.
func (q *queue) postpone(it *item, at time.Time, unstarted bool) {
	q.retry = &retry{item: it, at: at, unstarted: unstarted}
}

// front puts a push back in front of the backlog.
func (q *queue) front(it *item) { q.backlog = append([]*item{it}, q.backlog...) }

// undo puts what is not stored back in line, and what had to wait behind it. It
// returns the line.
func (q *queue) undo() []*item {
	line := q.uncommitted
	for _, it := range line {
		if !it.deadLettered {
			it.fx = nil // the next run has its own
		}
	}
	if q.retry != nil {
		line = append(line, q.retry.item)
	}
	q.retry, q.uncommitted = nil, nil
	q.backlog = append(line, q.backlog...)
	return line
}

// rerunning reports whether the state is behind what the page has shown: a
// conflict has put pushes back in line, and nobody must see or change the page
// before they have run again. One that fails now is shown to have failed.
func (q *queue) rerunning() bool { return q.retry == nil && len(q.backlog) > 0 && q.backlog[0].rerun }

// empty reports whether nothing is in line.
func (q *queue) empty() bool { return q.retry == nil && len(q.backlog) == 0 }
