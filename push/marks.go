package push

import (
	"context"
	"sync"
)

// marksLen bounds the starts that a node remembers.
const marksLen = 4096

// marks remembers which entries this process has marked as started. A process
// that an entry kills marks it once; its other connections, or a page that is
// loaded again while the entry is being retried, must not look like more
// crashes.
type marks struct {
	mu    sync.Mutex
	known map[markKey]*mark
	order []markKey // oldest first
}

type markKey struct {
	session string
	seq     Seq
}

// mark is one count, valid once done is closed.
type mark struct {
	done  chan struct{}
	count int
	err   error
}

// once returns the count that the first call for the entry got from fn.
func (m *marks) once(ctx context.Context, session string, seq Seq, fn func() (int, error)) (int, error) {
	key := markKey{session, seq}
	m.mu.Lock()
	if k := m.known[key]; k != nil {
		m.mu.Unlock()
		select {
		case <-k.done:
			return k.count, k.err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	k := &mark{done: make(chan struct{})}
	m.add(key, k)
	m.mu.Unlock()
	k.count, k.err = fn()
	if k.err != nil {
		m.drop(key)
	}
	close(k.done)
	return k.count, k.err
}

func (m *marks) add(key markKey, k *mark) {
	if m.known == nil {
		m.known = make(map[markKey]*mark)
	}
	if len(m.order) >= marksLen {
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}
	m.known[key] = k
	m.order = append(m.order, key)
}

func (m *marks) drop(key markKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, key) // its place in order is one wasted slot
}
