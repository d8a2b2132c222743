package stream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// WriterConfig tunes a Writer. The zero value writes text.
type WriterConfig struct {
	// ContentType is the stream's. Defaults to text/plain; charset=utf-8.
	ContentType string
	// Run fences: from now on no writer of an earlier run stores anything. 0 takes
	// the one after the last.
	Run int64
	// MaxBytes bounds the stream. Defaults to 1 MiB.
	MaxBytes int64
	// Keep has what lies further back than that many bytes trimmed; readers who
	// stand there get ErrMoved. Defaults to keeping all.
	Keep int64
	// Restart begins a new edition as soon as what is written differs from what an
	// earlier run has stored, in place of ErrDiverged.
	Restart bool
	// Gather is how long bytes are gathered, and GatherBytes how many of them, before
	// they are stored. They default to 50 milliseconds and 4,096.
	Gather      time.Duration
	GatherBytes int
	// TTL is how long the stream lives when nobody reads or writes, and ClosedTTL how
	// long once it is closed. They default to for ever, and to TTL.
	TTL, ClosedTTL time.Duration
	// Patience is how long a store that does not answer is tried. Defaults to 30
	// seconds.
	Patience time.Duration
}

func (c WriterConfig) withDefaults() (WriterConfig, error) {
	if min(c.Run, c.MaxBytes, c.Keep, int64(c.Gather), int64(c.GatherBytes), int64(c.Patience), int64(c.TTL), int64(c.ClosedTTL)) < 0 {
		return c, fmt.Errorf("stream: %w: WriterConfig: no setting may be negative", ErrInvalid)
	}
	c.ContentType = cmp.Or(c.ContentType, "text/plain; charset=utf-8")
	c.MaxBytes = cmp.Or(c.MaxBytes, 1<<20)
	c.Gather = cmp.Or(c.Gather, 50*time.Millisecond)
	c.GatherBytes = cmp.Or(c.GatherBytes, 4096)
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	return c, nil
}

// Writer writes a stream as its only owner. It is safe for concurrent use.
//
// A writer that finds what an earlier run has stored swallows that much of what
// is written, and compares it: a handler that runs again from the top and writes
// the same needs no code for it. From turns that off.
type Writer struct {
	store Store
	key   Key
	cfg   WriterConfig
	text  bool
	run   int64
	// within calls a function with the context that Open was given.
	within func(func(context.Context) error) error

	sending sync.Mutex // held while bytes are stored

	mu  sync.Mutex
	buf []byte // gathered
	at  Offset // where buf begins
	// unsure is how many bytes of buf were sent without an answer.
	unsure int
	err    error // for good
	timer  *time.Timer
	last   time.Time // when something was stored
	done   bool      // closed, or let go
	// ending says that the stream is being closed: what came later would be lost.
	ending bool

	old *old // what an earlier run has stored, nil when it is behind
}

// Open opens a stream for its owner, and makes it if there is none. Writes end
// with ctx: a Writer does not outlive it.
func Open(ctx context.Context, store Store, key Key, cfg WriterConfig) (*Writer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Writer{
		store: store, key: key, cfg: cfg, within: func(do func(context.Context) error) error { return do(ctx) },
		text: strings.HasPrefix(BaseType(cfg.ContentType), "text/"),
	}
	state, err := w.open(ctx, false)
	if err != nil {
		return nil, err
	}
	w.at = state.End
	if state.End != state.First || state.Closed {
		w.old = &old{at: state.First, begin: state.Begin.Pos, end: state.End.Pos}
	}
	return w, nil
}

func (w *Writer) open(ctx context.Context, restart bool) (State, error) {
	var state State
	err := w.persist(ctx, func(ctx context.Context) (err error) {
		state, err = w.store.Open(ctx, w.key, Claim{
			Run: w.run, ContentType: w.cfg.ContentType, MaxBytes: w.cfg.MaxBytes, Keep: w.cfg.Keep, Restart: restart, TTL: w.cfg.TTL,
		})
		return err
	})
	w.run = state.Run
	return state, err
}

// persist repeats what fails for a reason that passes.
func (w *Writer) persist(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Patience)
	defer cancel()
	for failures := 0; ; failures++ {
		err := do(ctx)
		if err == nil || Final(err) {
			return err
		}
		if wait(ctx, min(retryBase<<min(failures, 10), retryMax)) != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// Write takes bytes: they are stored within the time of WriterConfig.Gather, so
// an error may be that of an earlier call. It waits while the store is behind.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	n := len(p)
	rest, err := w.swallow(p)
	if err == nil {
		err = w.state()
	}
	if err == nil && w.ending {
		err = fmt.Errorf("stream: write to %s: %w", w.key, ErrClosed)
	}
	if err != nil {
		w.mu.Unlock()
		return 0, err
	}
	w.buf = append(w.buf, rest...)
	full := len(w.buf) >= w.cfg.GatherBytes
	if !full && len(w.buf) > 0 {
		w.plan()
	}
	w.mu.Unlock()
	if !full {
		return n, nil
	}
	return n, w.within(w.Flush)
}

// Append writes an item of a JSON stream: WriterConfig.ContentType has to be
// application/json.
func (w *Writer) Append(data any) error {
	if BaseType(w.cfg.ContentType) != jsonType {
		return fmt.Errorf("stream: %w: append of an item to a stream of %s", ErrInvalid, w.cfg.ContentType)
	}
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("stream: append to %s: %w", w.key, err)
	}
	_, err = w.Write(append(b, ','))
	return err
}

// state returns why nothing can be written any more. The caller holds mu.
func (w *Writer) state() error {
	if w.err != nil {
		return w.err
	}
	if w.done {
		return fmt.Errorf("stream: write to %s: %w", w.key, ErrClosed)
	}
	return nil
}

// plan has the buffer stored soon, and at once after a pause. The caller holds mu.
func (w *Writer) plan() {
	if w.timer != nil {
		return
	}
	w.timer = time.AfterFunc(max(0, w.cfg.Gather-time.Since(w.last)), w.late)
}

// late stores what was gathered.
func (w *Writer) late() {
	_ = w.within(w.Flush) // an error is kept for the next call
}

// Flush stores what was written, apart from the first bytes of a rune whose
// last ones are missing.
func (w *Writer) Flush(ctx context.Context) error { return w.send(ctx, false, false) }

// Close stores what was written and closes the stream: readers come to its end.
// Closing again changes nothing.
func (w *Writer) Close() error { return w.within(w.CloseContext) }

// CloseContext is Close, bound to another context than Open's: to close the
// stream of a job whose own has ended.
func (w *Writer) CloseContext(ctx context.Context) error {
	w.mu.Lock()
	if w.done {
		defer w.mu.Unlock()
		return w.err
	}
	if w.old != nil && w.old.at.Pos < w.old.end { // less was written than is stored
		if err := w.diverge(ctx); err != nil {
			w.mu.Unlock()
			return err
		}
	}
	w.ending = true
	w.mu.Unlock()
	err := w.send(ctx, true, true)
	if err != nil {
		w.mu.Lock()
		w.ending = false
		w.mu.Unlock()
	}
	return err
}

// Release stores what was written and lets go of the stream, which stays open for
// a later run.
func (w *Writer) Release(ctx context.Context) error {
	w.mu.Lock()
	w.ending = true
	w.mu.Unlock()
	err := w.send(ctx, true, false)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	return err
}

// Offset is where the next byte will come to lie.
func (w *Writer) Offset() Offset {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.old != nil {
		return w.old.at
	}
	return Offset{Edition: w.at.Edition, Pos: w.at.Pos + int64(len(w.buf))}
}

// From goes on behind what is stored, and returns where that is: nothing is
// swallowed any more.
func (w *Writer) From() Offset {
	w.mu.Lock()
	w.old = nil
	w.mu.Unlock()
	return w.Offset()
}

// Reset begins a new edition: what was written so far, stored or not, is no part
// of it. Readers of the old one get ErrMoved.
func (w *Writer) Reset(ctx context.Context) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reset(ctx)
}

// reset is Reset for who holds sending, or knows that nothing is sent, and mu.
func (w *Writer) reset(ctx context.Context) error {
	state, err := w.open(ctx, true)
	if err != nil {
		return w.keep(err)
	}
	w.old, w.buf, w.unsure, w.at = nil, nil, 0, state.End
	return nil
}

// keep notes an error that stays. The caller holds mu.
func (w *Writer) keep(err error) error {
	w.err = fmt.Errorf("stream: write to %s: %w", w.key, err)
	return w.err
}

// send stores the buffer. With all, it leaves no part of a rune behind. When ctx
// ends first, nothing is lost: the next send goes on.
func (w *Writer) send(ctx context.Context, all, closing bool) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if w.done && w.err == nil && len(w.buf) == 0 { // a timer that was late
		return nil
	}
	if err := w.state(); err != nil {
		return err
	}
	for {
		n, last := len(w.buf), true
		switch {
		case w.unsure > 0: // it has to be the same as before to be known as a repeat
			n, last = w.unsure, false
		case w.text && !all:
			n = whole(w.buf)
		}
		if n == 0 && !closing {
			return nil
		}
		if err := w.put(ctx, n, closing && last); err != nil {
			return err
		}
		if last {
			break
		}
	}
	w.done = closing
	if whole(w.buf) > 0 && !closing {
		w.plan()
	}
	return nil
}

// put stores the first bytes of the buffer. The caller holds mu, which is let
// go of meanwhile.
func (w *Writer) put(ctx context.Context, n int, closing bool) error {
	data, at := bytes.Clone(w.buf[:n]), w.at
	w.unsure = n
	w.mu.Unlock()
	err := w.persist(ctx, func(ctx context.Context) error {
		_, err := w.store.Append(ctx, w.key, Append{Data: data, Close: closing, TTL: w.cfg.ClosedTTL, Run: w.run, At: at.Pos})
		return err
	})
	w.mu.Lock()
	switch {
	case err == nil:
		w.buf, w.unsure = w.buf[n:], 0
		w.at.Pos += int64(n)
		w.last = time.Now()
		return nil
	case ctx.Err() != nil && !Final(err):
		return fmt.Errorf("stream: write to %s: %w", w.key, err)
	}
	return w.keep(err)
}

// whole returns how many bytes there are without the rune that b may end within.
func whole(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax-1); n++ {
		if last := b[len(b)-n]; utf8.RuneStart(last) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return len(b) - n
			}
			break
		}
	}
	return len(b)
}
