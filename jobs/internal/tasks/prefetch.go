package tasks

import (
	"slices"
	"sync"
	"time"
)

// Asynq takes one task at a time, with a round trip to Redis for each, on one
// goroutine: that bounds a worker's rate whatever its concurrency. A pool with
// one queue takes at once as many as it has free slots for, and hands Asynq the
// rest at its next calls, which follow within microseconds.
//
// Nothing else changes. A task that is held is active and leased in Redis like
// any other; there is a free slot for each, so none waits for a handler's end;
// one that is held for longer than HeldFor is not handed out any more but given
// back, at the head of the queue with its retries as they were, and so are all
// when the pool stops; those of a process that dies come back with their
// leases, like those it was working on. With several queues Asynq chooses a
// queue for each task, so there is nothing to prefetch, and each is taken when
// it is asked for.

const (
	// HeldFor is for how long a task may be held.
	HeldFor = 500 * time.Millisecond
	// heldMax is when a task that cannot be given back is left to its lease.
	heldMax = 20 * time.Second
	// returnedFor is how long a slot counts as taken after its handler has come
	// back, if Asynq says nothing more of the task: the lease was lost.
	returnedFor = time.Second
	// settleFor is for how long a task is kept whose handler has come back, while
	// Redis does not take what Asynq says of it: somewhat longer than Asynq tries.
	settleFor = 40 * time.Second
	// takeMax bounds how many tasks are taken in one script, for all others wait
	// for it.
	takeMax = 500
)

// Standing is what the script that takes a task says of the task's job.
type Standing int64

// The values are those of take.lua.
const (
	Untold  Standing = iota // nothing
	Unbegun                 // no run of the job has begun
	Begun                   // a run may have begun
	Foreign                 // it is another application's; it was sent back, and Message is its type
)

// Task is a task that was taken.
type Task struct {
	ID, Message string
	Standing    Standing
	Dest        string // the destination of a job that is Unbegun
	Past        Past   // of those that had it before
	Token       string // names this hand-out; "" when leases are Asynq's alone
}

// Past is how workers fared that had a task.
type Past struct {
	Losses  int           // how many died that had it among others
	Deaths  int           // how many died that had it alone
	Suspect time.Duration // for how long it waits since the last of them
}

// Queue are the keys and the prefix of task keys that Asynq's dequeue names.
type Queue struct {
	Pending, Paused, Active, Lease, Scheduled string
	Prefix                                    any
}

// Held is a task that Asynq has not asked for yet.
type Held struct {
	Task
	Queue Queue
	At    time.Time // when it was taken
}

// Lease is what a task is held by.
type Lease struct{ ID, Token string }

// handed is a task that Asynq has.
type handed struct {
	standing Standing
	dest     string
	past     Past
	token    string
	queue    Queue
	lost     bool      // another worker has it
	returned time.Time // when the handler came back, or zero
	due      time.Time // when it is to be tried again, or zero
	second   int64     // the same as Asynq puts it
}

// Prefetch is what a pool has taken. It is safe for concurrent use.
type Prefetch struct {
	slots    int
	oneQueue bool

	mu     sync.Mutex
	handed map[string]*handed // by task
	held   []Held             // in the order they were taken
	change chan struct{}      // see Others
}

// NewPrefetch returns the prefetch of a pool with so many slots.
func NewPrefetch(slots int, oneQueue bool) *Prefetch {
	return &Prefetch{slots: slots, oneQueue: oneQueue, handed: make(map[string]*handed, min(slots, takeMax))}
}

// next returns the message of a task that is held, or how many to take.
func (p *Prefetch) next(queue string, now time.Time) (msg string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.held, func(t Held) bool {
		return t.Queue.Pending == queue && now.Sub(t.At) < HeldFor
	}); i >= 0 {
		t := p.held[i]
		p.held = slices.Delete(p.held, i, i+1)
		p.hand(t.Task, t.Queue)
		return t.Message, 0
	}
	if !p.oneQueue {
		return "", 1
	}
	busy := len(p.handed)
	if busy >= p.slots { // Asynq asks, so it has a free slot
		for _, t := range p.handed {
			if !t.returned.IsZero() && now.Sub(t.returned) > returnedFor {
				busy--
			}
		}
	}
	return "", min(max(1, p.slots-busy-len(p.held)), takeMax)
}

func (p *Prefetch) hand(t Task, q Queue) {
	p.handed[t.ID] = &handed{standing: t.Standing, dest: t.Dest, past: t.Past, token: t.Token, queue: q}
}

// keep notes what was taken, of which the first is handed out.
func (p *Prefetch) keep(queue Queue, taken []Task, now time.Time) (msg string, ok bool) {
	if len(taken) == 0 {
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hand(taken[0], queue)
	for _, t := range taken[1:] {
		p.held = append(p.held, Held{t, queue, now})
	}
	return taken[0].Message, true
}

// Standing returns what is known of the job of a task that Asynq has.
func (p *Prefetch) Standing(id string) (s Standing, dest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.handed[id]; t != nil {
		return t.standing, t.dest
	}
	return Untold, ""
}

// Past returns how workers fared that had a task before that Asynq has now.
func (p *Prefetch) Past(id string) Past {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.handed[id]; t != nil {
		return t.past
	}
	return Past{}
}

// Others tells whether the pool has tasks beside one, "" for none, whose handlers
// have not come back. changed is closed when that may be different.
func (p *Prefetch) Others(id string) (some bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, t := range p.handed {
		some = some || other != id && t.returned.IsZero()
	}
	if p.change == nil {
		p.change = make(chan struct{})
	}
	return some || len(p.held) > 0, p.change
}

// tell tells who waits for a change.
func (p *Prefetch) tell() {
	if p.change != nil {
		close(p.change)
		p.change = nil
	}
}

// Token names the hand-out of a task that Asynq has, or "" when it has none.
func (p *Prefetch) Token(id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.handed[id]; t != nil {
		return t.token
	}
	return ""
}

// Has tells whether Asynq has a task, by an earlier hand-out.
func (p *Prefetch) Has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handed[id] != nil
}

// Leased returns what is to be kept, by queue. What Asynq has not settled for long
// after its handler came back is not, for nobody will, unless its end is owed.
func (p *Prefetch) Leased(owed func(id string) bool) map[Queue][]Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[Queue][]Lease)
	for id, t := range p.handed {
		switch {
		case !t.returned.IsZero() && time.Since(t.returned) > settleFor && !owed(id):
			delete(p.handed, id)
		case t.token != "" && !t.lost:
			all[t.queue] = append(all[t.queue], Lease{id, t.token})
		}
	}
	for _, t := range p.held {
		if t.Token != "" {
			all[t.Queue] = append(all[t.Queue], Lease{t.ID, t.Token})
		}
	}
	return all
}

// Lose notes that a hand-out is void. It returns true when a handler has the task by
// that hand-out, and this is news: once it has come back, Asynq's call about the
// task may have gone through already.
func (p *Prefetch) Lose(l Lease) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.tell()
	p.held = slices.DeleteFunc(p.held, func(t Held) bool { return t.ID == l.ID && t.Token == l.Token })
	t := p.handed[l.ID]
	if t == nil || t.token != l.Token || t.lost {
		return false
	}
	t.lost = true
	return t.returned.IsZero()
}

// Returned notes that the handler of a task has come back.
func (p *Prefetch) Returned(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.handed[id]; t != nil {
		t.returned = time.Now()
		p.tell()
	}
}

// Due notes when a task is to be tried again that Asynq is about to put off, by
// Redis's clock, and the second of this machine's clock that Asynq stores.
func (p *Prefetch) Due(id string, at time.Time, second int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.handed[id]; t != nil {
		t.due, t.second = at, second
	}
}

// due returns what Due noted of the first of the tasks that has something noted.
func (p *Prefetch) due(ids []string) (at time.Time, second int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if t := p.handed[id]; t != nil && !t.due.IsZero() {
			return t.due, t.second
		}
	}
	return time.Time{}, 0
}

// settled notes that Asynq is done with tasks.
func (p *Prefetch) settled(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.handed, id)
	}
	p.tell()
}

// Overdue takes out what has been held for longer than d, newest first.
func (p *Prefetch) Overdue(d time.Duration) []Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Held
	p.held = slices.DeleteFunc(p.held, func(t Held) bool {
		old := time.Since(t.At) >= d
		if old {
			out = append(out, t)
		}
		return old
	})
	slices.Reverse(out)
	if len(out) > 0 {
		p.tell()
	}
	return out
}

// Restore puts back what Overdue took out and could not be given back, but for
// what is so old that it is left to its lease.
func (p *Prefetch) Restore(tasks []Held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range slices.Backward(tasks) {
		if time.Since(t.At) < heldMax {
			p.held = append(p.held, t)
		}
	}
}
