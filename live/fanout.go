package live

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// topicTable joins the connections of this node to the Broker's topics, each
// followed once however many connections subscribe.
type topicTable struct {
	// following serialises the calls to the Broker; mu is never held over one,
	// because delivery takes it.
	following sync.Mutex

	mu     sync.Mutex
	topics map[string]*followed
	// draining says that the node is stopping: then nobody waits for the Broker
	// to end a subscription, and ended collects what ends them.
	draining bool
	ended    []func()
}

type followed struct {
	stop  func()
	conns map[*conn]struct{}
}

// follow makes c a subscriber.
func (h *Hub) follow(ctx context.Context, c *conn, topic string) error {
	t := &h.topics
	t.following.Lock()
	defer t.following.Unlock()
	t.mu.Lock()
	f := t.topics[topic]
	if f != nil {
		f.conns[c] = struct{}{}
		t.mu.Unlock()
		return nil
	}
	t.mu.Unlock()
	stop, err := h.deps.Broker.Follow(ctx, topic, func(payload []byte) { h.deliver(topic, payload) })
	if err != nil {
		return fmt.Errorf("live: follow topic %q: %w", topic, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topics == nil {
		t.topics = map[string]*followed{}
	}
	t.topics[topic] = &followed{stop: stop, conns: map[*conn]struct{}{c: {}}}
	return nil
}

// unfollow takes follow back.
func (h *Hub) unfollow(c *conn, topic string) {
	t := &h.topics
	t.following.Lock()
	defer t.following.Unlock()
	t.mu.Lock()
	f := t.topics[topic]
	if f == nil {
		t.mu.Unlock()
		return
	}
	delete(f.conns, c)
	last := len(f.conns) == 0
	if last {
		delete(t.topics, topic)
	}
	if last && t.draining {
		t.ended, last = append(t.ended, f.stop), false
	}
	t.mu.Unlock()
	if last {
		f.stop()
	}
}

// drain has subscriptions end with stopAll.
func (t *topicTable) drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining = true
}

// endLater has stopAll call stop.
func (t *topicTable) endLater(stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = append(t.ended, stop)
}

// stopAll ends the subscriptions that are left of a node that is stopping. It
// reports false when late comes first: then they end on their own time.
func (t *topicTable) stopAll(late <-chan struct{}) bool {
	t.mu.Lock()
	stops := t.ended
	t.ended = nil
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, stop := range stops {
			stop()
		}
	}()
	select {
	case <-done:
		return true
	case <-late:
		return false
	}
}

// deliver hands a message to the topic's connections on this node, but for the
// one that sent it. It does not wait for any.
func (h *Hub) deliver(topic string, payload []byte) {
	var m topicMessage
	if err := json.Unmarshal(payload, &m); err != nil {
		h.log.Warn("topic message cannot be read", "topic", topic, "error", err)
		return
	}
	h.topics.mu.Lock()
	defer h.topics.mu.Unlock()
	f := h.topics.topics[topic]
	if f == nil {
		return
	}
	for c := range f.conns {
		if m.From != "" && m.From == c.topicName() {
			continue
		}
		select {
		case c.topics.inbox <- m:
		default:
			h.metrics.topicsLost.Inc()
		}
	}
}

// publish sends an action's topic messages, each once.
func (h *Hub) publish(ctx context.Context, messages []topicMessage) {
	for _, m := range messages {
		b, err := json.Marshal(m)
		if err == nil {
			err = h.deps.Broker.Publish(ctx, m.Topic, b)
		}
		if err != nil {
			h.log.WarnContext(ctx, "topic message not sent", "topic", m.Topic, "action", m.Action, "error", err)
		}
	}
}

// Publish runs the named action on every connection that subscribes to the
// topic, on every node. It needs no permission: it is the program that
// publishes. Delivery is at most once; see Context.Publish.
func (h *Hub) Publish(ctx context.Context, topic, action string, data any) error {
	if h.deps.Broker == nil {
		return fmt.Errorf("%w: the hub has no Broker", ErrTopic)
	}
	if err := validTopic(topic); err != nil {
		return err
	}
	m, err := newTopicMessage(topic, "", action, data)
	if err != nil {
		return err
	}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("live: publish %s on %q: %w", action, topic, err)
	}
	if err := h.deps.Broker.Publish(ctx, topic, b); err != nil {
		return fmt.Errorf("live: publish %s on %q: %w", action, topic, err)
	}
	return nil
}
