package stream

import (
	"context"
	"errors"
	"iter"
	"time"
)

const (
	// pageBytes is about how much one read takes.
	pageBytes = 256 << 10
	// look is how often a reader looks when nothing wakes it: as often as a
	// store's sweep, which finds what a lost wake-up would hide.
	look = time.Second
	// retryBase and retryMax bound the pause before a failed read is repeated.
	retryBase, retryMax = 50 * time.Millisecond, 2 * time.Second
)

// Reader reads a stream from a place on, as it grows. Not safe for concurrent use.
type Reader struct {
	store Store
	key   Key
	watch Watch
	at    Offset
	id    string // of the stream that is read
	ended bool
	touch bool
	// How far the stream went when at was read, and whether it was closed.
	end    Offset
	closed bool
}

// NewReader returns a reader from an offset on: Start, Now, or one that was read.
// It has to be closed.
func NewReader(store Store, key Key, from Offset) *Reader {
	return &Reader{store: store, key: key, watch: store.Watch(key), at: from, touch: true}
}

// Close lets go of what wakes the reader.
func (r *Reader) Close() { r.watch.Close() }

// Offset is where the reader is. It can be given to another one.
func (r *Reader) Offset() Offset { return r.at }

// Ended says whether the reader has read the last byte of a closed stream.
func (r *Reader) Ended() bool { return r.ended }

// Next returns what follows, and waits until something does. The last chunk, of
// a closed stream, says so and may be empty. After an error that wraps one of this
// package's nothing will follow; any other one passes, and so does ctx's: the
// reader keeps its place. The chunk's bytes must not be changed.
func (r *Reader) Next(ctx context.Context) (Chunk, error) {
	for {
		changed := r.watch.Changed()
		c, err := r.Try(ctx)
		if err != nil || len(c.Data) > 0 || c.Ended {
			return c, err
		}
		timer := time.NewTimer(look)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return Chunk{}, err
		}
	}
}

// Try is Next without waiting: it returns an empty chunk if nothing follows now.
func (r *Reader) Try(ctx context.Context) (Chunk, error) {
	if r.id != "" {
		if c, known := r.watch.Since(r.id, r.at); known {
			r.at, r.ended, r.end, r.closed = c.To, c.Ended, c.To, c.Ended
			return c, nil
		}
	}
	page, err := r.store.Read(ctx, r.key, r.at, pageBytes, r.touch)
	switch {
	case err != nil:
		return Chunk{}, err
	case r.id != "" && r.id != page.State.ID: // another stream under the same name
		return Chunk{}, ErrMoved
	}
	r.id, r.at, r.ended, r.touch = page.State.ID, page.To, page.Ended(), false
	r.end, r.closed = page.State.End, page.State.Closed
	return Chunk{Data: page.Data, From: page.From, To: page.To, Ended: r.ended}, nil
}

// Follow returns what a stream holds from an offset on, and what comes, until
// the stream is closed, ctx ends or the caller stops. An error is the last
// element: ctx's, or one that wraps an error of this package. A store that is
// away is waited for.
func Follow(ctx context.Context, store Store, key Key, from Offset) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		r := NewReader(store, key, from)
		defer r.Close()
		for failures := 0; ; {
			c, err := r.Next(ctx)
			switch {
			case err == nil:
				failures = 0
				if !yield(c, nil) || c.Ended {
					return
				}
			case Final(err) || ctx.Err() != nil:
				yield(Chunk{}, err)
				return
			default:
				failures++
				if wait(ctx, min(retryBase<<min(failures, 10), retryMax)) != nil {
					yield(Chunk{}, ctx.Err())
					return
				}
			}
		}
	}
}

// wait waits for d, or returns ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Final reports whether an error of a Store stays however often the call is
// repeated: whether it wraps one of this package's.
func Final(err error) bool {
	if _, ok := errors.AsType[*ProducerError](err); ok {
		return true
	}
	for _, e := range []error{
		ErrInvalid, ErrNotFound, ErrGone, ErrMoved, ErrFenced, ErrClosed, ErrFull, ErrConflict, ErrOrder, ErrPlace, ErrSource, ErrForks, ErrDiverged,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
