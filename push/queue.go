package push

import "sync"

// workQueue holds the mailboxes that wait for a fetcher, each at most once.
type workQueue struct {
	wake chan struct{}

	mu    sync.Mutex
	boxes []*mailbox
	head  int
}

func (q *workQueue) push(box *mailbox) {
	q.mu.Lock()
	if q.head > 0 && len(q.boxes) == cap(q.boxes) {
		rest := copy(q.boxes, q.boxes[q.head:])
		clear(q.boxes[rest:])
		q.boxes, q.head = q.boxes[:rest], 0
	}
	q.boxes = append(q.boxes, box)
	q.mu.Unlock()
	poke(q.wake)
}

// pop returns nil when the queue is empty. It passes the wake-up on while
// there is more.
func (q *workQueue) pop() *mailbox {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.boxes) {
		return nil
	}
	box := q.boxes[q.head]
	q.boxes[q.head] = nil
	q.head++
	if q.head == len(q.boxes) {
		q.boxes, q.head = q.boxes[:0], 0
	} else {
		poke(q.wake)
	}
	return box
}

// laterList holds the mailboxes that wait for time to pass.
type laterList struct {
	wake chan struct{}

	mu    sync.Mutex
	boxes []*mailbox
}

func (l *laterList) add(box *mailbox) {
	l.mu.Lock()
	l.boxes = append(l.boxes, box)
	l.mu.Unlock()
	poke(l.wake)
}

func (l *laterList) take() []*mailbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	boxes := l.boxes
	l.boxes = nil
	return boxes
}

// poke sends a signal unless one is pending.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
