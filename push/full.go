package push

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fullFor is how long a mailbox that was full is taken to be so. A caller that
	// tries again and again asks the store 200 times a second then, and not as
	// often as it can: with a session behind that nobody reads, such callers took
	// what Redis has for all others.
	fullFor = 5 * time.Millisecond
	// maxFullBoxes bounds how many are remembered.
	maxFullBoxes = 10_000
)

// fullBoxes are the mailboxes that were full a moment ago. It is safe for
// concurrent use.
type fullBoxes struct {
	any atomic.Bool // so that whoever publishes elsewhere waits for no lock

	mu    sync.Mutex
	until map[string]time.Time
}

// has reports whether a session's mailbox was full a moment ago.
func (f *fullBoxes) has(session string) bool {
	if !f.any.Load() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	until, ok := f.until[session]
	if ok && !time.Now().Before(until) {
		delete(f.until, session)
		f.any.Store(len(f.until) > 0)
		return false
	}
	return ok
}

// add notes that a session's mailbox is full.
func (f *fullBoxes) add(session string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil || len(f.until) >= maxFullBoxes {
		f.until = map[string]time.Time{} // the store says it again
	}
	f.until[session] = time.Now().Add(fullFor)
	f.any.Store(true)
}
