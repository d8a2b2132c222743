package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"lastmile/push/stream"
)

const (
	// maxStreams bounds the streams that a run writes.
	maxStreams = 16
	// openStreamTTL is how long a stream lives that its job neither writes nor closes:
	// longer than the job waits for anything.
	openStreamTTL = 30 * 24 * time.Hour
)

// ErrNoStreams means that the pool has no store for streams: see PoolConfig.Streams.
var ErrNoStreams = errors.New("jobs: the pool keeps no streams")

// StreamKey names a stream of a job's generation (Handle, Info and Event have it), for
// readers in any process: stream.Follow, or the Handler of package push/stream.
func StreamKey(id string, gen int, name string) stream.Key {
	return stream.Key{Group: id + "." + strconv.Itoa(gen), Name: name}
}

// Stream opens a stream of the job that the context of a handler belongs to: a text
// that grows, or, with a ContentType of application/json, a list. Readers in any
// process see what is written within 50 milliseconds, each byte once and in order,
// from the start or from where they were, while the job runs and afterwards for as
// long as its record is kept. At most 16 in a run, of 1 MiB each unless cfg says
// otherwise; cfg.Run and the lifetimes are the job's. Calling it again with a name
// returns the same Writer.
//
// A run that follows a crash writes the same stream: what it writes again from the
// top is swallowed as far as it is stored. If it would differ, as the answer of a
// language model does, set cfg.Restart, or go on from Writer.From. A run that has
// lost the job gets stream.ErrFenced, and stores nothing.
//
// When the handler returns, what was gathered is stored. The streams are closed
// before the job's end is: a reader that hears of a completed job finds all of it. An
// end that no run of the job comes to (cancelled while it waited, lost) leaves its
// streams open; the job's event tells of it.
func Stream(ctx context.Context, name string, cfg stream.WriterConfig) (*stream.Writer, error) {
	x, ok := ctx.Value(executionKey{}).(*execution)
	if !ok {
		return nil, fmt.Errorf("jobs: stream %q: %w: not within a handler of a job", name, ErrInvalid)
	}
	store := x.pool.cfg.Streams
	if store == nil {
		return nil, fmt.Errorf("jobs: stream %q: %w", name, ErrNoStreams)
	}
	if err := x.journal.load(ctx, x); err != nil {
		return nil, fmt.Errorf("jobs: stream %q: %w", name, err)
	}
	cfg.Run = int64(x.gen)<<32 | x.run
	cfg.TTL, cfg.ClosedTTL = max(openStreamTTL, x.opts.Retention), cmp.Or(x.opts.Retention, time.Hour)
	w, err := x.streams.open(name, func() (*stream.Writer, error) { return stream.Open(ctx, store, StreamKey(x.id, x.gen, name), cfg) })
	if err != nil {
		return nil, fmt.Errorf("jobs: stream %q: %w", name, err)
	}
	return w, nil
}

// streams are those that a run writes. It is safe for concurrent use.
type streams struct {
	mu   sync.Mutex
	turn chan struct{} // held while one is opened
	all  map[string]*stream.Writer
}

func (s *streams) open(name string, open func() (*stream.Writer, error)) (*stream.Writer, error) {
	s.mu.Lock()
	if s.turn == nil {
		s.turn, s.all = make(chan struct{}, 1), map[string]*stream.Writer{}
	}
	turn := s.turn
	s.mu.Unlock()
	turn <- struct{}{}
	defer func() { <-turn }()
	s.mu.Lock()
	w, n := s.all[name], len(s.all)
	s.mu.Unlock()
	switch {
	case w != nil:
		return w, nil
	case n >= maxStreams:
		return nil, fmt.Errorf("%w: the job writes %d streams, and at most so many", ErrInvalid, maxStreams)
	}
	w, err := open()
	if err == nil {
		s.mu.Lock()
		s.all[name] = w
		s.mu.Unlock()
	}
	return w, err
}

// each calls do for each stream.
func (s *streams) each(do func(w *stream.Writer) error) error {
	s.mu.Lock()
	all := maps.Clone(s.all)
	s.mu.Unlock()
	var failed error
	for name, w := range all {
		if err := do(w); err != nil {
			failed = errors.Join(failed, fmt.Errorf("jobs: stream %q: %w", name, err))
		}
	}
	return failed
}

// closeStreams closes what the run has written. Closing again changes nothing.
func (x *execution) closeStreams(ctx context.Context) error {
	return x.streams.each(func(w *stream.Writer) error { return w.CloseContext(context.WithoutCancel(ctx)) })
}

// flushStreams stores what was gathered: a later run goes on from there.
func (x *execution) flushStreams(ctx context.Context) {
	err := x.streams.each(func(w *stream.Writer) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		return w.Flush(ctx)
	})
	if err != nil {
		x.pool.log.WarnContext(ctx, "streams not stored to the end", "id", x.id, "action", x.kind, "error", err)
	}
}
