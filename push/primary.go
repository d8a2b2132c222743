package push

import (
	"context"
	"time"
)

// Primary says who takes a store's writes.
type Primary struct {
	// ID names the server, or the servers of a cluster. It changes when one of
	// them is restarted or replaced. It is empty when the store does not tell.
	ID string
	// Replicas is how many copies follow the server that has most of them.
	Replicas int
	// Confirmed is how many of those have a push before Append returns.
	Confirmed int
}

// Succession is what a Transport has, besides its other methods, when a copy of
// its store may take over: the copy may lack the latest writes. It is optional.
type Succession interface {
	// Primary asks who takes the writes now. An error means that nobody
	// answers. Safe for concurrent use.
	Primary(ctx context.Context) (Primary, error)
}

// A Node looks whether its store has replicas, and once it has, who takes the
// writes.
const (
	nodeLook      = 10 * time.Second
	successorLook = 2 * time.Second
)

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
func (n *Node) watch(ctx context.Context, s Succession) {
	last := ""
	for {
		var p Primary
		err := n.call(ctx, "primary", func(ctx context.Context) (err error) {
			p, err = s.Primary(ctx)
			return err
		})
		if err == nil {
			if p.Replicas > 0 {
				n.replicated.Store(true)
			}
			if last != "" && p.ID != last {
				n.term.Add(1)
				n.signalAll()
			}
			last = p.ID
		}
		pause := nodeLook
		if n.Replicated() {
			pause = successorLook
		}
		if !wait(ctx, pause) {
			return
		}
	}
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
