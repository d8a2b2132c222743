package wire

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrSlow means that the browser has taken nothing off the wire for too long.
var ErrSlow = errors.New("wire: the browser is slow")

// Writer sends a transport's frames, one at a time. It belongs to one goroutine;
// what the network does not take at once, another one sees to, which lives until
// that has left.
type Writer struct {
	// Pool gives frames, and takes them back once they have left.
	Pool *Pool

	out   outlet
	limit time.Duration
	// busy says that a frame is on its way. Whoever writes it sets err and sends
	// on left, once; the owner then calls Result.
	busy bool
	err  error
	left chan struct{}
}

// outlet is where a transport's frames leave.
type outlet interface {
	// begin writes what can be written without waiting. It returns the rest, which
	// goes to finish, and whether the outlet is held until then.
	begin(f *Frame) (rest []byte, held bool, err error)
	// finish writes the rest within the limit.
	finish(rest []byte, held bool, limit time.Duration) error
}

func newWriter(out outlet, pool *Pool, limit time.Duration) *Writer {
	return &Writer{Pool: pool, out: out, limit: limit, left: make(chan struct{}, 1)}
}

// Send sends a frame, which is the writer's from now on. If Busy reports true
// afterwards, Left tells when the frame has left. The writer must not be busy.
func (w *Writer) Send(f *Frame) error {
	rest, held, err := w.out.begin(f)
	if err != nil || len(rest) == 0 {
		w.Pool.Put(f)
		return err
	}
	w.busy = true
	go func() {
		w.err = w.out.finish(rest, held, w.limit)
		w.Pool.Put(f)
		w.left <- struct{}{}
	}()
	return nil
}

// Busy reports whether a frame is on its way.
func (w *Writer) Busy() bool { return w.busy }

// Left yields when the frame on its way has left, or could not: then Result
// must be called.
func (w *Writer) Left() <-chan struct{} { return w.left }

// Result ends the wait for a frame. It returns why the frame could not leave:
// ErrSlow, or what the network says.
func (w *Writer) Result() error {
	w.busy = false
	if errors.Is(w.err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrSlow, w.err)
	}
	return w.err
}
