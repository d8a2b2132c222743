package push

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Master is a server that takes a store's writes and passes them on to its
// replicas later.
type Master struct {
	// ID names the server and its history: a restart and a promotion change
	// it. It is empty when the store does not tell.
	ID string
	// Offset is how far the history has come. It counts the writes, or their
	// bytes, in a way of the store's own.
	Offset int64
	// Replicas holds, for each copy that follows, how far it has confirmed the
	// history; below zero while it is being made.
	Replicas map[string]int64
	// Followed says that a copy has followed lately, whether or not one is
	// listed: the server may have lost sight of it a moment ago.
	Followed bool
}

// Replication is what a store has, besides its other methods, when a copy of it
// may take over: the copy may lack the latest writes. It is optional.
type Replication interface {
	// Masters asks which servers take the writes now: one, or all of a
	// cluster. An error means that one of them does not answer. Safe for
	// concurrent use.
	Masters(ctx context.Context) ([]Master, error)
	// Awaited is how many replicas have a push before Append returns.
	Awaited() int
}

// primaryOf names who takes the writes.
func primaryOf(masters []Master) string {
	ids := make([]string, len(masters))
	for i, m := range masters {
		ids[i] = m.ID
	}
	slices.Sort(ids)
	return strings.TrimSpace(strings.Join(ids, " "))
}

// nodeLook is how often a Node looks whether its store has replicas, and who
// takes the writes.
const nodeLook = 2 * time.Second

// Replicated reports whether the store has, or had since Run began, a replica
// that could take over. A push that the replica lacks is then published again:
// under its old ID, at a new place. Whoever has applied it before has to know
// its ID.
func (n *Node) Replicated() bool { return n.replicated.Load() }

// Term counts how often another server was seen to take over the writes. What
// the store held may have fallen back then. The feeds are signalled when it
// changes.
func (n *Node) Term() uint64 { return n.term.Load() }

// watch keeps Replicated and Term up to date until ctx ends. Replicated does
// not go back: a replica that cannot be seen now may be the next primary.
func (n *Node) watch(ctx context.Context, store Replication) {
	last := ""
	for {
		var masters []Master
		err := n.call(ctx, "masters", func(ctx context.Context) (err error) {
			masters, err = store.Masters(ctx)
			return err
		})
		if err == nil {
			if slices.ContainsFunc(masters, func(m Master) bool { return m.Followed || len(m.Replicas) > 0 }) {
				n.replicated.Store(true)
			}
			now := primaryOf(masters)
			// Feeds that are older than the first look may be older than the server
			// that it finds.
			if now != last && (last != "" || (n.Replicated() && n.attached())) {
				n.term.Add(1)
				n.signalAll()
			}
			last = now
		}
		if !wait(ctx, nodeLook) {
			return
		}
	}
}

// attached reports whether there are feeds.
func (n *Node) attached() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.boxes) > 0
}

// signalAll has the consumers of all feeds look around.
func (n *Node) signalAll() {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, box := range n.boxes {
		box.mu.Lock()
		for _, f := range box.feeds {
			f.signal()
		}
		box.mu.Unlock()
	}
}
