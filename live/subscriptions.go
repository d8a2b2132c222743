package live

import (
	"context"

	"lastmile/push"
)

// subscriptions are a connection's topics on this node. The names are the
// visitor's, because they are stored with the state.
type subscriptions struct {
	conn *conn
	// inbox is made with the first subscription; the hub writes to it.
	inbox chan topicMessage
}

// publish sends an action's topic messages.
func (t *subscriptions) publish(ctx context.Context, messages []topicMessage) {
	if len(messages) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.conn.hub.cfg.StoreTimeout)
	defer cancel()
	t.conn.hub.publish(ctx, messages)
}

// change makes subscriptions hold.
func (t *subscriptions) change(ctx context.Context, changes map[string]bool) {
	if len(changes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.conn.hub.cfg.StoreTimeout)
	defer cancel()
	for topic, on := range changes {
		if on == t.conn.who.topics[topic] {
			continue
		}
		t.conn.session.Touch() // they are part of the record
		t.conn.who.subscribed(map[string]bool{topic: on})
		if on {
			t.follow(ctx, topic)
		} else {
			t.conn.hub.unfollow(t.conn, topic)
		}
	}
}

// follow makes one subscription hold.
func (t *subscriptions) follow(ctx context.Context, topic string) {
	if t.inbox == nil {
		t.inbox = make(chan topicMessage, topicQueue)
	}
	if err := t.conn.hub.follow(ctx, t.conn, topic); err != nil {
		// Delivery is at most once: the next connection tries again.
		t.conn.hub.log.WarnContext(ctx, "subscription failed", "topic", topic, "view", t.conn.page.name, "error", err)
	}
}

// followAll makes the subscriptions of a resumed page hold on this node, as far
// as whoever comes back may still have them.
func (t *subscriptions) followAll(ctx context.Context) {
	if t.conn.hub.deps.Broker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.conn.hub.cfg.StoreTimeout)
	defer cancel()
	for topic := range t.conn.who.topics {
		if err := t.conn.hub.allows(t.conn.who.Identity, topic); err != nil {
			t.conn.hub.log.InfoContext(ctx, "subscription ended", "session", push.Redact(t.conn.who.Session), "view", t.conn.page.name, "error", err)
			delete(t.conn.who.topics, topic)
			t.conn.session.Touch()
			continue
		}
		t.follow(ctx, topic)
	}
}

// unfollowAll ends the subscriptions on this node.
func (t *subscriptions) unfollowAll() {
	if t.inbox == nil {
		return
	}
	for topic := range t.conn.who.topics {
		t.conn.hub.unfollow(t.conn, topic)
	}
}
