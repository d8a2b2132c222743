package mempush

import (
	"bytes"
	"context"
	"slices"
	"sync"
)

// broker holds the followers of topics.
type broker struct {
	mu        sync.Mutex
	followers map[string][]*follower
}

type follower struct{ fn func([]byte) }

// Publish implements push.Broker. It returns after every follower was called.
func (t *Transport) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := &t.topics
	b.mu.Lock()
	followers := slices.Clone(b.followers[topic])
	b.mu.Unlock()
	for _, f := range followers {
		f.fn(bytes.Clone(payload))
	}
	return nil
}

// Follow implements push.Broker.
func (t *Transport) Follow(ctx context.Context, topic string, fn func(payload []byte)) (stop func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &t.topics
	f := &follower{fn}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.followers == nil {
		b.followers = make(map[string][]*follower)
	}
	b.followers[topic] = append(b.followers[topic], f)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.followers[topic] = slices.DeleteFunc(b.followers[topic], func(g *follower) bool { return g == f })
		if len(b.followers[topic]) == 0 {
			delete(b.followers, topic)
		}
	}, nil
}
