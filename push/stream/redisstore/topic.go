package redisstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"lastmile/push/stream"
)

// wake tells all readers to look. The caller holds the lock.
func (t *topic) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// forget says that nothing is known. The caller holds the lock.
func (t *topic) forget() {
	t.known, t.recent = false, nil
	t.wake()
}

// take handles what has come on the subscription.
func (h *hub) take(ctx context.Context, msg any) {
	switch m := msg.(type) {
	case *redis.Subscription:
		if m.Kind == "subscribe" { // what came before is not told
			h.sweep(ctx, []string{m.Channel})
		}
	case *redis.Message:
		h.mu.Lock()
		defer h.mu.Unlock()
		if t := h.topics[m.Channel]; t != nil {
			t.hear(m.Payload, h.s.cfg.RecentBytes)
		}
	}
}

// hear handles what tell in lib.lua has written. The caller holds the lock.
func (t *topic) hear(payload string, most int) {
	head, body, _ := strings.Cut(payload, "\n")
	f := strings.Fields(head)
	if len(f) != 5 || f[4] == "x" || f[4] == "r" || t.known && f[0] != t.gen {
		t.forget()
		return
	}
	edition, _ := strconv.ParseInt(f[1], 10, 64)
	start, _ := strconv.ParseInt(f[2], 10, 64)
	tail, _ := strconv.ParseInt(f[3], 10, 64)
	end := stream.Offset{Edition: edition, Pos: tail}
	switch {
	case t.known && end == t.end && (t.closed || f[4] != "c"):
		return
	case t.known && t.end == (stream.Offset{Edition: edition, Pos: start}) && start+int64(len(body)) == tail:
		t.recent = joined(t.recent, body, most)
	case t.known && (edition < t.end.Edition || tail < t.end.Pos): // late: a sweep was faster
		return
	default:
		t.recent = nil
		if start+int64(len(body)) == tail {
			t.recent = []byte(body)
		}
	}
	t.known, t.gone, t.gen, t.end, t.closed = true, false, f[0], end, f[4] == "c"
	t.wake()
}

// joined returns a new slice of the last bytes.
func joined(old []byte, more string, most int) []byte {
	if over := len(old) + len(more) - most; over > 0 {
		old = old[min(over, len(old)):]
	}
	all := make([]byte, 0, len(old)+len(more))
	return append(append(all, old...), more...)
}

// sweep asks Redis how the streams stand, all that may still change if no
// channels are given, and wakes the readers of those that have changed.
func (h *hub) sweep(ctx context.Context, channels []string) {
	cmds := map[string]*redis.SliceCmd{}
	pipe := h.s.client.Pipeline()
	h.mu.Lock()
	if channels == nil {
		for channel, t := range h.topics {
			if !t.known || !t.closed {
				channels = append(channels, channel)
			}
		}
	}
	for _, channel := range channels {
		if t := h.topics[channel]; t != nil {
			cmds[channel] = pipe.HMGet(ctx, h.s.names(t.key)[0], "gen", "ed", "tail", "closed", "st")
		}
	}
	h.mu.Unlock()
	if len(cmds) == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	h.mu.Lock()
	defer h.mu.Unlock()
	for channel, cmd := range cmds {
		if t := h.topics[channel]; t != nil && cmd.Err() == nil {
			if t.see(cmd.Val()) {
				h.s.metrics.missed.Inc()
			}
		}
	}
}

// see handles what a sweep has found, and says whether a wake-up was missed. The
// caller holds the lock.
func (t *topic) see(v []any) bool {
	gen := text(v[0])
	if gen == "" || text(v[4]) != "" {
		if !t.gone {
			t.gone = true
			t.forget()
		}
		return false
	}
	end := stream.Offset{Edition: number(v[1]), Pos: number(v[2])}
	closed := text(v[3]) != ""
	same := gen == t.gen && !t.gone
	switch {
	case !t.known:
	case same && end == t.end && closed == t.closed:
		return false
	case same && (end.Edition < t.end.Edition || end.Edition == t.end.Edition && end.Pos < t.end.Pos):
		// Heard of meanwhile; or the store has lost it, which the next sweep finds.
		t.forget()
		return false
	}
	missed := t.known
	t.known, t.gone, t.gen, t.end, t.closed, t.recent = true, false, gen, end, closed, nil
	t.wake()
	return missed
}

// watch implements stream.Watch.
type watch struct {
	h *hub
	t *topic
}

// Watch implements stream.Store.
func (s *Store) Watch(key stream.Key) stream.Watch {
	channel := s.channel(key)
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[channel]
	if t == nil {
		t = &topic{key: key, changed: make(chan struct{})}
		h.topics[channel] = t
		select {
		case h.poke <- struct{}{}:
		default:
		}
	}
	t.readers++
	t.idle = 0
	return &watch{h: h, t: t}
}

// Changed implements stream.Watch.
func (w *watch) Changed() <-chan struct{} {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	return w.t.changed
}

// Since implements stream.Watch.
func (w *watch) Since(id string, from stream.Offset) (stream.Chunk, bool) {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	t := w.t
	back := t.end.Pos - from.Pos
	if !t.known || id != t.gen || from.Edition != t.end.Edition || back < 0 || back > int64(len(t.recent)) {
		return stream.Chunk{}, false
	}
	data := t.recent[int64(len(t.recent))-back:]
	return stream.Chunk{Data: data, From: from, To: t.end, Ended: t.closed}, true
}

// Close implements stream.Watch.
func (w *watch) Close() {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	w.t.readers--
}
