package live

import (
	"fmt"
	"strings"

	"lastmile/push"
)

const (
	// selfPrefix begins the topics that belong to sessions.
	selfPrefix = "self:"
	// maxTopics bounds a connection's subscriptions.
	maxTopics = 64
	// maxPublishes bounds what one action may publish.
	maxPublishes = 100
)

// topicMessage is an action for the subscribers of a topic.
type topicMessage struct {
	Topic string `json:"-"`
	push.TopicMessage
}

// SelfTopic names the topic of this session's own connections. It needs no
// permission.
func (c *Context) SelfTopic() string { return c.hub.selfTopic(c.who.Session) }

// Subscribe makes this connection run the actions that are published on a
// topic, until it mounts anew, or reconnects and Config.Topics allows the topic
// no more; subscribing again does nothing. Delivery is at most once: what is published while the connection or its node is away from
// the store is missed, and what it did to the state is stored within
// Config.CommitDelay. It returns an error that wraps ErrTopic unless
// Config.Topics allows the topic.
func (c *Context) Subscribe(topic string) error {
	if err := c.checkTopic(topic); err != nil {
		return err
	}
	return c.affect(func(fx *effects) error {
		if len(c.who.topics)+len(fx.topics) >= maxTopics && !c.who.topics[topic] {
			return fmt.Errorf("%w: more than %d subscriptions", ErrTopic, maxTopics)
		}
		if fx.topics == nil {
			fx.topics = map[string]bool{}
		}
		fx.topics[topic] = true
		return nil
	})
}

// Unsubscribe takes Subscribe back.
func (c *Context) Unsubscribe(topic string) error {
	return c.affect(func(fx *effects) error {
		if fx.topics == nil {
			fx.topics = map[string]bool{}
		}
		fx.topics[topic] = false
		return nil
	})
}

// Publish runs the named action, with data that marshals to a JSON object, on
// every connection that subscribes to the topic, on every node, but not on this
// one. It is sent once the action's state is stored, at most once, and not
// retried: what has to arrive is a push (Session). It returns an error that
// wraps ErrTopic unless Config.Topics allows the topic.
func (c *Context) Publish(topic, action string, data any) error {
	if err := c.checkTopic(topic); err != nil {
		return err
	}
	m, err := newTopicMessage(topic, c.who.conn, action, data)
	if err != nil {
		return err
	}
	if len(m.Data) > c.hub.cfg.MaxMessageBytes {
		return fmt.Errorf("live: publish %s on %q: %w: %d bytes of data, at most %d are allowed",
			action, topic, push.ErrTooLarge, len(m.Data), c.hub.cfg.MaxMessageBytes)
	}
	return c.affect(func(fx *effects) error {
		if len(fx.publishes) >= maxPublishes {
			return fmt.Errorf("%w: an action may publish %d times", ErrTopic, maxPublishes)
		}
		fx.publishes = append(fx.publishes, m)
		return nil
	})
}

func (c *Context) checkTopic(topic string) error {
	if c.hub.deps.Broker == nil {
		return fmt.Errorf("%w: the hub has no Broker", ErrTopic)
	}
	if err := validTopic(topic); err != nil {
		return err
	}
	return c.hub.allows(c.who.Identity, topic)
}

// allows asks whether somebody may use a topic.
func (h *Hub) allows(who Identity, topic string) (err error) {
	defer caught(&err)
	if topic == h.selfTopic(who.Session) {
		return nil
	}
	if strings.HasPrefix(topic, selfPrefix) {
		return fmt.Errorf("%w: %q belongs to a session", ErrTopic, topic)
	}
	if h.cfg.Topics == nil {
		return fmt.Errorf("%w: %q: Config.Topics allows none", ErrTopic, topic)
	}
	if err := h.cfg.Topics(who, topic); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrTopic, topic, err)
	}
	return nil
}

func newTopicMessage(topic, from, action string, data any) (topicMessage, error) {
	m, err := push.NewTopicMessage(action, data)
	if err != nil {
		return topicMessage{}, fmt.Errorf("live: publish %s on %q: %w", action, topic, err)
	}
	m.From = from
	return topicMessage{topic, m}, nil
}

func validTopic(topic string) error {
	if err := push.ValidTopic(topic); err != nil {
		return fmt.Errorf("%w: %w", ErrTopic, err)
	}
	return nil
}
