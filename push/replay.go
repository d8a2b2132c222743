package push

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// replayLook is how often a Publisher asks who takes the writes.
	replayLook = time.Second
	// replaySessions is how many sessions are replayed at a time.
	replaySessions = 16
	// keptOverhead stands for what a kept push takes besides its texts.
	keptOverhead = 200
)

// ring keeps the pushes that the store accepted last.
type ring struct {
	on atomic.Bool // the store may lose what it accepted

	mu    sync.Mutex
	kept  []kept
	head  int
	bytes int
}

// kept is an accepted push.
type kept struct {
	message Message
	at      time.Time
}

func (k kept) size() int {
	m := k.message
	return len(m.ID) + len(m.Session) + len(m.Action) + len(m.Data) + len(m.Replaces) + len(m.Traceparent) + keptOverhead
}

// add keeps an accepted push and returns how many older ones had to go for it.
// A value that its successor replaces is not kept: published again it would
// come after its successor, or after the end.
func (r *ring) add(m Message, cfg PublisherConfig) (dropped int) {
	if !r.on.Load() || (m.Replaces != "" && !m.Final) {
		return 0
	}
	m.Data = bytes.Clone(m.Data) // the caller may use it again
	k := kept{m, time.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, k)
	r.bytes += k.size()
	for len(r.kept)-r.head > cfg.ReplayPushes || r.bytes > cfg.ReplayBytes {
		r.dropFirst()
		dropped++
	}
	return dropped
}

// forget drops the pushes from before a time.
func (r *ring) forget(before time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.head < len(r.kept) && r.kept[r.head].at.Before(before) {
		r.dropFirst()
	}
}

func (r *ring) dropFirst() {
	r.bytes -= r.kept[r.head].size()
	r.kept[r.head] = kept{}
	r.head++
	if r.head > len(r.kept)/2 {
		r.kept = slices.Delete(r.kept, 0, r.head)
		r.head = 0
	}
}

// bySession returns what is kept, oldest first for each session.
func (r *ring) bySession() map[string][]Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]Message{}
	for _, k := range r.kept[r.head:] {
		all[k.message.Session] = append(all[k.message.Session], k.message)
	}
	return all
}

// renew puts the pushes that a replay stored again behind all others, as young
// as if they were accepted now, which they were: whoever has just taken them
// may be replaced too. What it had already keeps its age: repeated from one
// failover to the next, it would outlive what the pages remember.
func (r *ring) renew(stored map[sessionPush]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	live := r.kept[r.head:]
	again := make([]kept, 0, len(stored))
	rest := slices.DeleteFunc(live, func(k kept) bool {
		if !stored[sessionPush{k.message.Session, k.message.ID}] {
			return false
		}
		again = append(again, kept{k.message, now})
		return true
	})
	r.kept = append(r.kept[:r.head+len(rest)], again...)
}

// sessionPush names a push: its ID is its session's own.
type sessionPush struct{ session, id string }

// Run guards accepted pushes against a failover until ctx ends, and returns
// nil. A store with replicas answers before they have a push: the one that
// takes over may lack the latest. So while the store has a replica that a push
// does not wait for, the Publisher keeps what was accepted in the
// ReplayWindow, and when another server takes the writes it publishes that
// again, under the same IDs: what the server has is not stored twice. Those it
// lacked come at a new place, after pushes that were accepted later. Pushes
// with Replacing are not replayed: the next value, or the end, takes their
// place.
//
// Without Run, or with a store that says nothing of replicas (see Succession),
// nothing is kept.
func (p *Publisher) Run(ctx context.Context) error {
	s, ok := p.store.(Succession)
	if !ok {
		<-ctx.Done()
		return nil
	}
	last, down := "", false
	for {
		asked := time.Now()
		now, err := p.primary(ctx, s)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			// Nothing is forgotten meanwhile: a failover takes its time.
			if !down {
				p.cfg.Logger.WarnContext(ctx, "the store does not say who takes its writes", "error", err)
			}
		case last != "" && now.ID != last:
			if p.replay(ctx) {
				last = now.ID
			}
		default:
			last = now.ID
			p.ring.forget(asked.Add(-p.cfg.ReplayWindow))
		}
		down = err != nil
		if !wait(ctx, replayLook) {
			return nil
		}
	}
}

func (p *Publisher) primary(ctx context.Context, s Succession) (Primary, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	now, err := s.Primary(ctx)
	if err == nil && now.Replicas > now.Confirmed {
		p.ring.on.Store(true) // and stays: a replica out of sight may be the next primary
	}
	return now, err
}

// replay publishes what is kept once more. It reports false when it has to be
// done again.
func (p *Publisher) replay(ctx context.Context) bool {
	all := p.ring.bySession()
	var group errgroup.Group
	group.SetLimit(replaySessions)
	var counts struct{ duplicate, refused atomic.Int64 }
	var mu sync.Mutex
	stored := map[sessionPush]bool{}
	for _, messages := range all {
		group.Go(func() error {
			for _, m := range messages {
				receipt, err := p.again(ctx, m)
				switch {
				case err == nil && receipt.Duplicate:
					counts.duplicate.Add(1)
				case err == nil:
					mu.Lock()
					stored[sessionPush{m.Session, m.ID}] = true
					mu.Unlock()
				case refused(err):
					counts.refused.Add(1)
					p.cfg.Logger.ErrorContext(ctx, "accepted push lost in a failover and refused now",
						"session", Redact(m.Session), "action", m.Action, "id", m.ID, "error", err)
				default:
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	p.metrics.replayed.WithLabelValues("stored").Add(float64(len(stored)))
	p.metrics.replayed.WithLabelValues("duplicate").Add(float64(counts.duplicate.Load()))
	p.metrics.replayed.WithLabelValues("refused").Add(float64(counts.refused.Load()))
	p.cfg.Logger.WarnContext(ctx, "another server takes the writes: accepted pushes published again",
		"stored", len(stored), "known", counts.duplicate.Load(), "refused", counts.refused.Load(), "error", err)
	p.ring.renew(stored)
	return err == nil
}

// again publishes a kept push. A full mailbox is given time to empty.
func (p *Publisher) again(ctx context.Context, m Message) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		receipt, err := p.append(ctx, m)
		if !errors.Is(err, ErrMailboxFull) || !wait(ctx, Backoff(attempt, p.cfg.RetryBase, p.cfg.RetryMax)) {
			return receipt, err
		}
	}
}
