package redisstore

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/stream"
)

const (
	// linger is how many sweeps a stream stays subscribed to without readers: a
	// long poll comes back.
	linger = 5
	// probe is how long the subscription may be silent before it is probed.
	probe       = 10 * time.Second
	backoffBase = 50 * time.Millisecond
	backoffMax  = 2 * time.Second
)

// hub wakes the readers of this process. What it knows are hints, each true when
// it was read: a reader that they do not help asks Redis.
type hub struct {
	s *Store

	mu      sync.Mutex
	running bool
	topics  map[string]*topic // by channel
	poke    chan struct{}     // a topic is to be subscribed to
	first   chan struct{}     // closed at the first one
	begun   bool
}

// topic is a stream that has readers in this process, or had them a moment ago.
type topic struct {
	key     stream.Key
	readers int
	idle    int // sweeps without readers

	subscribed bool
	changed    chan struct{} // closed at the next change
	// known says that what follows was true at some time, and that it is since
	// then told of changes.
	known  bool
	gen    string
	end    stream.Offset
	closed bool
	gone   bool
	// recent holds the bytes before end. It is never written to, but replaced.
	recent []byte
}

func newHub(s *Store) *hub {
	return &hub{s: s, topics: map[string]*topic{}, poke: make(chan struct{}, 1), first: make(chan struct{})}
}

// Run wakes the readers of this process until ctx ends. It returns nil then, and
// an error only when it was called before. Without it readers still read all, but
// look for it once in Config.Sweep.
func (s *Store) Run(ctx context.Context) error {
	h := s.hub
	h.mu.Lock()
	again := h.running
	h.running = true
	h.mu.Unlock()
	if again {
		return errors.New("redisstore: Run was called before")
	}
	ps := s.client.Subscribe(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { h.receive(ctx, ps) })
	wg.Go(func() { h.tend(ctx, ps) })
	<-ctx.Done()
	_ = ps.Close() // ends what waits for an answer
	wg.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		t.forget()
	}
	return nil
}

// receive hands messages on until ctx ends. The PubSub reconnects and subscribes
// again by itself.
func (h *hub) receive(ctx context.Context, ps *redis.PubSub) {
	failures, silent := 0, false
	select { // before, there is no connection
	case <-h.first:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		msg, err := ps.ReceiveTimeout(ctx, probe)
		timeout, isNet := errors.AsType[net.Error](err)
		switch {
		case err == nil:
			failures, silent = 0, false
			h.take(ctx, msg)
		case ctx.Err() != nil:
			return
		case isNet && timeout.Timeout() && !silent:
			silent = true
			_ = ps.Ping(ctx) // its answer ends the silence; without one the connection is dead
		default:
			if failures == 0 {
				h.s.cfg.Logger.WarnContext(ctx, "stream subscription broke", "error", err)
			}
			h.s.metrics.errors.WithLabelValues("subscribe").Inc()
			h.doubt()
			pause(ctx, push.Backoff(failures, backoffBase, backoffMax)+backoffBase/2)
			failures++
		}
	}
}

// tend subscribes to what has readers, and sweeps, until ctx ends.
func (h *hub) tend(ctx context.Context, ps *redis.PubSub) {
	tick := time.NewTicker(h.s.cfg.Sweep)
	defer tick.Stop()
	for {
		h.subscribe(ctx, ps)
		select {
		case <-ctx.Done():
			return
		case <-h.poke:
		case <-tick.C:
			h.drop(ctx, ps)
			h.sweep(ctx, nil)
		}
	}
}

func (h *hub) subscribe(ctx context.Context, ps *redis.PubSub) {
	var channels []string
	h.mu.Lock()
	for channel, t := range h.topics {
		if !t.subscribed {
			t.subscribed = true
			channels = append(channels, channel)
		}
	}
	h.mu.Unlock()
	if len(channels) > 0 {
		// An error is no matter: the channels are noted, and subscribed to
		// whenever there is a connection.
		_ = ps.Subscribe(ctx, channels...)
		if !h.begun {
			h.begun = true
			close(h.first)
		}
	}
}

// drop leaves the streams that have had no readers for a while.
func (h *hub) drop(ctx context.Context, ps *redis.PubSub) {
	var channels []string
	h.mu.Lock()
	for channel, t := range h.topics {
		if t.readers > 0 {
			continue
		}
		if t.idle++; t.idle > linger {
			delete(h.topics, channel)
			channels = append(channels, channel)
		}
	}
	h.s.metrics.watched.Set(float64(len(h.topics)))
	h.mu.Unlock()
	if len(channels) > 0 {
		_ = ps.Unsubscribe(ctx, channels...)
	}
}

// doubt has the readers ask Redis: wake-ups may be missing.
func (h *hub) doubt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		t.forget()
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
