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

// nodeLook is how often a Node looks whether its store has replicas.
const nodeLook = 10 * time.Second

// Replicated reports whether the store has, or had since Run began, a replica
// that could take over. A push that the replica lacks is then published again:
// under its old ID, at a new place. Whoever has applied it before has to know
// its ID.
func (n *Node) Replicated() bool { return n.replicated.Load() }

// watch keeps Replicated up to date until ctx ends. It does not go back: a
// replica that cannot be seen now may be the next primary.
func (n *Node) watch(ctx context.Context, s Succession) {
	for !n.replicated.Load() {
		var p Primary
		err := n.call(ctx, "primary", func(ctx context.Context) (err error) {
			p, err = s.Primary(ctx)
			return err
		})
		if err == nil && p.Replicas > 0 {
			n.replicated.Store(true)
		}
		if !wait(ctx, nodeLook) {
			return
		}
	}
}
