package delivery

import (
	"fmt"
	"sync"

	"golang.org/x/sync/singleflight"

	"lastmile/push"
)

// Counts remembers which redelivered pushes this process has started, and how
// many starts were counted before, so that the tabs of one session do not count
// as several crashes. The zero value is ready; it is safe for concurrent use.
type Counts struct {
	counting singleflight.Group

	mu     sync.Mutex
	counts map[countKey]int
}

type countKey struct {
	session string
	seq     push.Seq
}

// maxCounts bounds the table; forgetting costs a call.
const maxCounts = 10_000

// count has store count the start of a push unless this process has, and returns
// how many were counted before. Tabs that start it together share one call: all
// of them are isolated with it, or none, so they have the same bound.
func (t *Counts) count(session string, seq push.Seq, most int, store func() (int, error)) (int, error) {
	key := countKey{session, seq}
	before, err, _ := t.counting.Do(fmt.Sprint(session, "\n", seq, "\n", most), func() (any, error) {
		t.mu.Lock()
		n, known := t.counts[key]
		t.mu.Unlock()
		if known {
			return n, nil
		}
		n, err := store()
		if err == nil && n < most {
			t.set(session, seq, n)
		}
		return n, err
	})
	n, _ := before.(int)
	return n, err
}

// survived reports whether the push has been started here and need not be
// isolated.
func (t *Counts) survived(session string, seq push.Seq) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.counts[countKey{session, seq}]
	return ok && n < maxBeside
}

func (t *Counts) set(session string, seq push.Seq, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil || len(t.counts) >= maxCounts {
		t.counts = map[countKey]int{}
	}
	t.counts[countKey{session, seq}] = n
}

func (t *Counts) forget(session string, seq push.Seq) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.counts, countKey{session, seq})
}
