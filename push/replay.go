package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// replayLook is how often a Publisher asks what the replicas have.
	replayLook = time.Second
	// replaySessions is how many sessions are replayed at a time.
	replaySessions = 16
)

// Run guards accepted pushes against a failover until ctx ends, and returns
// nil. A store with replicas answers before they have a push: the one that
// takes over may lack the latest. So while the store has a replica that a push
// does not wait for, the Publisher keeps what no replica has confirmed, and
// what is younger than PublisherConfig.ReplayWindow. When another server takes
// the writes it publishes that again, under the same IDs: what the server has
// is not stored twice. Those it lacked come at a new place, after pushes that
// were accepted later. Pushes with Replacing are not replayed: the next value,
// or the end, takes their place.
//
// A replica may lag or be gone for long. What is kept is bounded by
// PublisherConfig.ReplayBytes; at the bound publishing slows down to what the
// replicas confirm: Publish waits, and fails with ErrReplicasBehind when its
// time is over. See PublisherConfig.ReplicaTimeout for those that never return.
//
// What is accepted before Run begins is kept for it, for ReplayWindow at most.
// After Run, or with a store that says nothing of replicas (see Replication),
// nothing is kept, and without Run nothing is published again.
func (p *Publisher) Run(ctx context.Context) error {
	store, ok := p.store.(Replication)
	if !ok {
		<-ctx.Done()
		return nil
	}
	// Until the first look has told whether there are replicas there may be.
	p.kept.begin()
	defer p.kept.turn(false)
	seen := replicas{timeout: p.cfg.ReplicaTimeout}
	first, lastSeen, warned, gauged := true, time.Now(), false, 0
	defer func() { p.metrics.unconfirmed.Add(-float64(gauged)) }()
	for {
		began := time.Now()
		masters, err := p.masters(ctx, store)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			s := seen.look(began, masters)
			p.turn(s.replicas > store.Awaited(), first)
			p.noticed(ctx, began, s)
			first, lastSeen, warned = false, began, false
		case !warned:
			// Nothing is released meanwhile: a failover takes its time.
			p.cfg.Logger.WarnContext(ctx, "the store does not say what its replicas have", "error", err)
			warned = true
		}
		p.kept.see(began.Sub(lastSeen) >= p.cfg.ReplicaTimeout)
		now := p.kept.waiting()
		p.metrics.unconfirmed.Add(float64(now - gauged))
		gauged = now
		if !wait(ctx, replayLook) {
			return nil
		}
	}
}

func (p *Publisher) masters(ctx context.Context, store Replication) ([]Master, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	return store.Masters(ctx)
}

// turn has pushes kept once there are replicas to lose them, and no longer when
// the first look finds none. Later looks leave it on: a replica out of sight
// may be the next primary.
func (p *Publisher) turn(needed, first bool) {
	if on := p.kept.on.Load(); (needed && !on) || (first && !needed && on) {
		p.kept.turn(needed)
	}
}

// noticed acts on what a look has told.
func (p *Publisher) noticed(ctx context.Context, began time.Time, s sight) {
	if len(s.forgotten) > 0 {
		p.cfg.Logger.WarnContext(ctx, "replicas have been gone for long: what they lack is kept for them no longer", "replicas", s.forgotten)
	}
	if s.failover {
		p.kept.depose()
	}
	p.replay(ctx)
	if p.kept.confirm(s.confirmed, began.Add(-p.cfg.ReplayWindow)) {
		p.cfg.Logger.InfoContext(ctx, "the replicas have caught up: publishing goes on at full speed")
	}
}

// reserve takes the room in which a push will be kept, if it has to be, and
// waits for it while the replicas are behind.
func (p *Publisher) reserve(ctx context.Context, m Message) (r room, err error) {
	size := sizeOf(m)
	for waited := false; p.kept.keeps(m); waited = true {
		r, released, freed := p.kept.reserve(size)
		p.metrics.dropped.Add(float64(released))
		if freed == nil {
			return r, nil
		}
		if !waited {
			p.metrics.held.Inc()
		}
		if p.kept.fill() {
			p.cfg.Logger.WarnContext(ctx, "the replicas are behind: publishing slows down to what they confirm", "replay_bytes", p.cfg.ReplayBytes)
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return room{}, fmt.Errorf("%w, and %d bytes wait for them: %w", ErrReplicasBehind, p.cfg.ReplayBytes, ctx.Err())
		}
	}
	return room{}, nil
}

// replay publishes once more what a server had accepted that takes no writes
// any more. What fails is left for the next time.
func (p *Publisher) replay(ctx context.Context) {
	term, all := p.kept.terms(), p.kept.deposed()
	if len(all) == 0 {
		return
	}
	var group errgroup.Group
	group.SetLimit(replaySessions)
	var mu sync.Mutex
	done := map[sessionPush]Receipt{}
	refusals := 0
	for _, messages := range all {
		group.Go(func() error {
			for _, m := range messages {
				receipt, err := p.again(ctx, m)
				if err != nil && !refused(err) {
					return err
				}
				if err != nil {
					p.cfg.Logger.ErrorContext(ctx, "accepted push lost in a failover and refused now",
						"session", Redact(m.Session), "action", m.Action, "id", m.ID, "error", err)
				}
				mu.Lock()
				if err != nil {
					refusals++
					receipt.Duplicate = true // it ages like one
				}
				done[sessionPush{m.Session, m.ID}] = receipt
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	known := -refusals
	for _, receipt := range done {
		if receipt.Duplicate {
			known++
		}
	}
	stored := len(done) - known - refusals
	p.metrics.replayed.WithLabelValues("stored").Add(float64(stored))
	p.metrics.replayed.WithLabelValues("duplicate").Add(float64(known))
	p.metrics.replayed.WithLabelValues("refused").Add(float64(refusals))
	level := slog.LevelInfo
	if stored+refusals > 0 || err != nil {
		level = slog.LevelWarn
	}
	p.cfg.Logger.Log(ctx, level, "another server takes the writes: accepted pushes published again",
		"stored", stored, "known", known, "refused", refusals, "error", err)
	p.kept.replayed(term, done)
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
