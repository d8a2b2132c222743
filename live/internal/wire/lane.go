package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Lane is a page's connection without a WebSocket: frames are events of one
// response that lasts, messages come by requests of their own. Its requests may
// be lost, repeated, and overtake each other, so each carries its number.
type Lane struct {
	w       http.ResponseWriter
	control *http.ResponseController
	in      laneInbox
	done    chan struct{} // closed with over

	// Write state.
	mu   sync.Mutex // held while an event is written
	over bool       // w is not to be used any more

	cutting atomic.Bool
	// using is held by who uses control without mu, and by Wait before it lets
	// the handler return.
	using sync.Mutex
}

const (
	// closeLimit bounds the writing of a lane's first and last event.
	closeLimit = 5 * time.Second
	streamType = "text/event-stream"
)

// NewLane makes a lane of the response w. A message longer than readLimit ends
// it. It begins with Open.
func NewLane(w http.ResponseWriter, readLimit int64) *Lane {
	return &Lane{
		w: w, control: http.NewResponseController(w), done: make(chan struct{}),
		in: laneInbox{limit: int(readLimit), next: 1, arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1)},
	}
}

// Open begins the response and tells the browser the lane's name, for its
// requests. hello is the browser's first message. With an error the request is
// answered.
func (l *Lane) Open(r *http.Request, name string, hello []byte) error {
	l.in.queue, l.in.size = [][]byte{hello}, len(hello)+messageCost
	h := l.w.Header()
	h.Set("Content-Type", streamType)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.ProtoMajor == 1 && r.ProtoMinor == 1 {
		h.Set("Transfer-Encoding", "identity") // HAProxy holds small chunks back
	}
	// The server's deadlines are for requests that end.
	err := l.control.SetReadDeadline(time.Time{})
	if errors.Is(err, http.ErrNotSupported) {
		err = nil
	}
	if err == nil {
		err = l.control.Flush() // first of all: where it is not supported, an error can still be told
	}
	if err != nil {
		l.end()
		http.Error(l.w, "the response cannot be streamed", http.StatusNotImplemented)
		return fmt.Errorf("wire: lane: %w", err)
	}
	l.mu.Lock()
	err = l.write([]byte("event: lane\ndata: "+name+"\n\n"), closeLimit)
	l.mu.Unlock()
	if err != nil {
		l.end()
		return fmt.Errorf("wire: lane: %w", err)
	}
	return nil
}

// Wait blocks until the lane is over; ctx is the request's. The response must
// not end before.
func (l *Lane) Wait(ctx context.Context) {
	select {
	case <-ctx.Done():
		l.in.end(io.EOF, false)
		<-l.done
	case <-l.done:
	}
	l.using.Lock()
	defer l.using.Unlock()
}

// TryPut takes the messages of one request. A request that has come before does
// nothing.
func (l *Lane) TryPut(b Batch) error { return l.in.put(b) }

// Put is TryPut, but blocks while there is no room.
func (l *Lane) Put(ctx context.Context, b Batch) error {
	for {
		err := l.in.put(b)
		if !errors.Is(err, ErrLaneFull) {
			return err
		}
		if !l.in.waiting.TryLock() {
			return ErrLaneFull // one request waits, others are none of a browser's
		}
		select {
		case <-l.in.taken:
		case <-l.done:
			err = ErrLaneOver
		case <-ctx.Done():
			err = ctx.Err()
		}
		l.in.waiting.Unlock()
		if !errors.Is(err, ErrLaneFull) {
			return err
		}
	}
}

// Await returns at once: a lane's reader waits in Read.
func (l *Lane) Await() {}

// Read returns the next message. When ctx ends before it is there, the lane ends
// too.
func (l *Lane) Read(ctx context.Context) ([]byte, error) {
	for {
		b, err := l.in.take()
		if b != nil || err != nil {
			return b, err
		}
		select {
		case <-l.in.arrived:
		case <-l.done:
			return nil, net.ErrClosed
		case <-ctx.Done():
			l.Cut()
			return nil, ctx.Err()
		}
	}
}

// Answer writes a short message between the Writer's frames.
func (l *Lane) Answer(ctx context.Context, text string) error {
	limit := closeLimit
	if until, ok := ctx.Deadline(); ok {
		limit = time.Until(until)
	}
	return l.say([]byte("data: "+text+"\n\n"), limit)
}

// Writer returns the lane's only writer. A frame may take up to limit.
func (l *Lane) Writer(pool *Pool, limit time.Duration) *Writer { return newWriter(l, pool, limit) }

// Close ends the lane with a code, which the last event tells.
func (l *Lane) Close(code websocket.StatusCode, text string) {
	b, err := json.Marshal(struct {
		Code   websocket.StatusCode `json:"code"`
		Reason string               `json:"reason"`
	}{code, text})
	if err == nil {
		_ = l.say([]byte("event: close\ndata: "+string(b)+"\n\n"), closeLimit) // it is over either way
	}
	l.end()
}

// Cut ends the lane without ceremony, a write under way too.
func (l *Lane) Cut() {
	l.using.Lock()
	select {
	case <-l.done:
	default:
		l.cutting.Store(true)
		_ = l.control.SetWriteDeadline(time.Now()) // where it is not supported, the write ends by itself
	}
	l.using.Unlock()
	l.end()
}

func (l *Lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		l.in.end(net.ErrClosed, true)
		close(l.done)
	}
}

// begin leaves it to finish: a response takes nothing without waiting.
func (l *Lane) begin(f *Frame) (rest []byte, held bool, err error) { return f.event(), false, nil }

func (l *Lane) finish(rest []byte, _ bool, limit time.Duration) error {
	return l.say(rest, limit)
}

func (l *Lane) say(event []byte, limit time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return net.ErrClosed
	}
	return l.write(event, limit)
}

// write writes with mu held.
func (l *Lane) write(event []byte, limit time.Duration) error {
	if err := l.deadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if l.cutting.Load() { // the deadline may have been Cut's
		return net.ErrClosed
	}
	if _, err := l.w.Write(event); err != nil {
		return err
	}
	if err := l.control.Flush(); err != nil {
		return err
	}
	return l.deadline(time.Time{})
}

func (l *Lane) deadline(at time.Time) error {
	err := l.control.SetWriteDeadline(at)
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
