package mempush

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"lastmile/push"
)

// node holds the hints for one listening node.
type node struct {
	wake chan struct{}

	mu    sync.Mutex
	hints []push.Notice
	lost  bool
}

// add appends a hint. When there are too many, all are lost.
func (n *node) add(h push.Notice, limit int) {
	n.mu.Lock()
	if len(n.hints) >= limit {
		n.hints, n.lost = nil, true
	}
	n.hints = append(n.hints, h)
	n.mu.Unlock()
	n.poke()
}

// resync loses the hints.
func (n *node) resync() {
	n.mu.Lock()
	n.hints, n.lost = nil, true
	n.mu.Unlock()
	n.poke()
}

func (n *node) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns what has come in. free is a slice that may be reused.
func (n *node) take(free []push.Notice) (hints []push.Notice, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	hints, lost = n.hints, n.lost
	n.hints, n.lost = free[:0], false
	return hints, lost
}

// Listen implements push.Transport. A node may listen once at a time.
func (t *Transport) Listen(ctx context.Context, nodeID string, l push.Listener) error {
	n := &node{wake: make(chan struct{}, 1), lost: true}
	t.mu.Lock()
	if t.nodes[nodeID] != nil {
		t.mu.Unlock()
		return fmt.Errorf("mempush: node %s is listening already", nodeID)
	}
	t.nodes[nodeID] = n
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.nodes, nodeID)
		t.mu.Unlock()
	}()
	const batch = 512
	var free []push.Notice
	for {
		hints, lost := n.take(free)
		if lost {
			l.Resync()
		}
		for part := range slices.Chunk(hints, batch) {
			l.Notify(part)
		}
		clear(hints)
		free = hints
		if cap(free) > batch {
			free = nil
		}
		if len(hints) > 0 || lost {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		}
	}
}
