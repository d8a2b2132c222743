package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"
)

var (
	// ErrLaneFull means that there is no room for a request's messages.
	ErrLaneFull = errors.New("wire: the lane is full")
	// ErrLaneOver means that the lane has ended.
	ErrLaneOver = errors.New("wire: the lane is over")
)

// Batch is what one request of a lane carries.
type Batch struct {
	// Number counts the lane's requests, from 1.
	Number uint64 `json:"n"`
	// Messages are the browser's.
	Messages []json.RawMessage `json:"m"`
	// Code says that the browser ends the lane behind the messages, 0 that it
	// does not.
	Code websocket.StatusCode `json:"c"`
}

// DecodeBatch reads the body of a request.
func DecodeBatch(body []byte) (Batch, error) {
	var b Batch
	if err := json.Unmarshal(body, &b); err != nil {
		return b, fmt.Errorf("wire: batch: %w", err)
	}
	if b.Number == 0 {
		return b, errors.New("wire: batch: no number")
	}
	return b, nil
}

// size is what the batch holds in memory.
func (b *Batch) size() int {
	n := 0
	for _, m := range b.Messages {
		n += len(m) + messageCost
	}
	return n
}

const (
	// messageCost stands for what a message costs besides its bytes.
	messageCost = 32
	// maxEarly bounds the requests that have overtaken others.
	maxEarly = 8
)

// laneInbox puts the requests of a lane in order.
type laneInbox struct {
	limit   int           // bytes of a message; twice that many may wait
	arrived chan struct{} // has a token when there may be something to read
	taken   chan struct{} // has a token when there may be room
	waiting sync.Mutex    // held by the request that waits for room

	mu    sync.Mutex
	queue [][]byte
	early map[uint64]Batch
	size  int    // of queue and early
	next  uint64 // number of the next request
	err   error  // why nothing comes behind the queue
}

func (q *laneInbox) put(b Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, again := q.early[b.Number]
	switch n := b.size(); {
	case q.err != nil:
		return ErrLaneOver
	case b.Number < q.next || again:
		return nil
	case q.size > 0 && q.size+n > 2*q.limit, b.Number > q.next && len(q.early) >= maxEarly:
		return ErrLaneFull
	default:
		q.size += n
	}
	if b.Number > q.next {
		if q.early == nil {
			q.early = map[uint64]Batch{}
		}
		q.early[b.Number] = b
		return nil
	}
	for ok := true; ok && q.err == nil; b, ok = q.early[q.next] {
		q.append(b)
	}
	signal(q.arrived)
	return nil
}

// append takes the next request.
func (q *laneInbox) append(b Batch) {
	delete(q.early, b.Number)
	q.next++
	for _, m := range b.Messages {
		q.queue = append(q.queue, m)
	}
	if b.Code != 0 {
		q.err = websocket.CloseError{Code: b.Code}
	}
}

// take returns the next message, or why there is none any more, or neither.
func (q *laneInbox) take() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil, q.err
	}
	m := q.queue[0]
	q.queue[0] = nil
	if q.queue = q.queue[1:]; len(q.queue) == 0 {
		q.queue = nil
	}
	q.size -= len(m) + messageCost
	signal(q.taken)
	if len(m) > q.limit {
		q.queue, q.err = nil, websocket.ErrMessageTooBig
		return nil, q.err
	}
	return m, nil
}

// end says that nothing more comes, and what waits is not wanted either when all
// is set.
func (q *laneInbox) end(err error, all bool) {
	q.mu.Lock()
	if all {
		q.queue, q.early = nil, nil
	}
	if q.err == nil {
		q.err = err
	}
	q.mu.Unlock()
	signal(q.arrived)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
