package tasks

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The SHAs of those scripts of Asynq's own loops that a worker need not call. A
// script of another SHA goes to Redis as it is.
const (
	expiredSHA = "16988a462595f6ee317be300951533b004f27f5c" // tasks whose lease is over
	reclaimSHA = "7c08714194a1ed81153180b36590c51f1ccd7d42" // sets of tasks to aggregate: only who aggregates makes them
)

const (
	// passAfter is how long a worker that is woken may take to look, before
	// another is woken in its place: all of its slots may be taken.
	passAfter = time.Millisecond
	// foreignPause is the wait after a look that found tasks of others alone.
	foreignPause = 10 * time.Millisecond
	// askAnew is how long a call of Asynq's may wait: the lease that it will give
	// to the task begins when it asks.
	askAnew = 2 * time.Second
	// passMore is how many more wakes than queues may wait to be passed on.
	passMore = 64
)

// Wake lets Asynq's processor wait for work where it would ask Redis again and
// again. The processor is one goroutine that goes through the queues, in the
// order that it chose for the pass, until it has a task. It waits before the
// first queue of a pass, while no queue may have work; between them it would
// upset the order. A queue that may have none is answered without Redis.
//
// Which may have work is noted by: a wake; whatever takes a task out, when it
// leaves some; every new connection, since wakes may have been lost; and the
// sweep. It is safe for concurrent use.
type Wake struct {
	// Poll is how often a worker looks that cannot be woken.
	Poll time.Duration
	// Passed are queues for which the worker was woken and has not looked: another
	// is to be woken in its place.
	Passed chan string

	rung chan struct{}
	stop <-chan struct{}
	deaf atomic.Bool

	mu      sync.Mutex
	maybe   map[string]bool // by the list of a queue's pending tasks
	some    int             // how many may have work
	stale   map[string]any  // by what a queue's keys begin with: leases up to then are over
	at      int             // place in the pass
	waiting bool
}

// NewWake returns the wake of a worker on the queues with these lists. Closing
// stop ends all waiting.
func NewWake(pending []string, poll time.Duration, stop <-chan struct{}) *Wake {
	w := &Wake{Poll: poll, rung: make(chan struct{}, 1), stop: stop, maybe: make(map[string]bool, len(pending)), stale: map[string]any{}}
	w.Passed = make(chan string, len(pending)+passMore)
	for _, q := range pending {
		w.maybe[q] = true
	}
	w.some = len(w.maybe)
	return w
}

// Set notes that a queue may have work. told is true when the worker was woken
// for it in place of others.
func (w *Wake) Set(pending string, told bool) {
	w.mu.Lock()
	maybe, known := w.maybe[pending]
	if known && !maybe {
		w.maybe[pending] = true
		w.some++
	}
	busy := !w.waiting
	w.mu.Unlock()
	if !known {
		return
	}
	w.ring()
	if told && busy {
		time.AfterFunc(passAfter, func() {
			if !w.unused(pending) {
				return
			}
			select {
			case w.Passed <- pending:
			default: // the sweep finds the work
			}
		})
	}
}

func (w *Wake) unused(pending string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.maybe[pending] && !w.waiting
}

// Unused returns the queues that may have work which the worker has not looked
// for.
func (w *Wake) Unused() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var queues []string
	for q, maybe := range w.maybe {
		if maybe {
			queues = append(queues, q)
		}
	}
	return queues
}

// SetAll notes that every queue may have work.
func (w *Wake) SetAll() {
	w.mu.Lock()
	w.fill()
	w.mu.Unlock()
	w.ring()
}

func (w *Wake) fill() {
	for q := range w.maybe {
		w.maybe[q] = true
	}
	w.some = len(w.maybe)
}

func (w *Wake) ring() {
	select {
	case w.rung <- struct{}{}:
	default:
	}
}

// Deafen has the worker look by itself while it cannot be woken. It returns
// whether that is news.
func (w *Wake) Deafen(deaf bool) bool {
	news := w.deaf.Swap(deaf) != deaf
	if news {
		w.SetAll()
	}
	return news
}

// Expire notes that a queue has leases of Asynq's that are over: those up to a time
// of Redis's. Asynq goes by the clock of this machine.
func (w *Wake) Expire(pending string, until int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale[baseOf(pending)] = until
}

// cutoff returns what Expire noted last of the queue that a key belongs to, or nil.
func (w *Wake) cutoff(key string) any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stale[baseOf(key)]
}

// baseOf returns what all keys of a queue begin with.
func baseOf(key string) string { return key[:strings.LastIndexByte(key, ':')+1] }

// await returns when the queue that Asynq asks for is to be looked at, or is not
// in this pass.
func (w *Wake) await(pending string) (look bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for goOn := true; goOn && w.at == 0 && w.some == 0; {
		w.waiting = true
		w.mu.Unlock()
		goOn = w.sleep()
		w.mu.Lock()
		w.waiting = false
	}
	w.at = (w.at + 1) % len(w.maybe)
	if look = w.maybe[pending]; look {
		w.maybe[pending] = false
		w.some--
	}
	return look
}

// sleep returns true when there may be work, and false when the worker stops or is
// to ask anew.
func (w *Wake) sleep() bool {
	d, deaf := askAnew, w.deaf.Load()
	if deaf {
		d = min(d, w.Poll)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.stop:
		return false
	case <-w.rung:
		return true
	case <-timer.C:
	}
	if !deaf {
		return false
	}
	w.mu.Lock()
	w.fill()
	w.mu.Unlock()
	return true
}

// took notes what a look at a queue came to.
func (w *Wake) took(pending string, some, left bool, err error) {
	if some || err != nil {
		w.mu.Lock()
		w.at = 0
		w.mu.Unlock()
	}
	switch {
	case err != nil, some && left:
		w.Set(pending, false)
	case left:
		time.AfterFunc(foreignPause, func() { w.Set(pending, false) })
	}
}
