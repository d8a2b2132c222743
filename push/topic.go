package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTopicLen bounds a topic's name, in bytes.
const MaxTopicLen = 128

// TopicMessage is an action for whoever follows a topic, in the form that a
// Broker carries between processes. Its JSON has short keys: a, d and f.
type TopicMessage struct {
	// From is the connection that it comes from and that does not get it, or empty.
	From string `json:"f,omitempty"`
	// Action is the name of the controller method to run.
	Action string `json:"a"`
	// Data is a JSON object, or empty for none.
	Data json.RawMessage `json:"d,omitempty"`
}

// NewTopicMessage makes a message of an action and data that marshals to a JSON
// object, nil for none. The error wraps ErrInvalid when either cannot be one.
func NewTopicMessage(action string, data any) (TopicMessage, error) {
	if err := ValidAction(action); err != nil {
		return TopicMessage{}, err
	}
	b, err := marshalData(data)
	if err != nil {
		return TopicMessage{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(b) > 0 && b[0] != '{' {
		return TopicMessage{}, fmt.Errorf("%w: the data is not a JSON object", ErrInvalid)
	}
	return TopicMessage{Action: action, Data: b}, nil
}

// ValidTopic returns an error that wraps ErrInvalid unless name can be a topic: 1
// to MaxTopicLen bytes of printable UTF-8.
func ValidTopic(name string) error {
	if name == "" || len(name) > MaxTopicLen || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%w: the name of a topic has 1 to %d bytes of printable UTF-8", ErrInvalid, MaxTopicLen)
	}
	return nil
}

// PublishTopic has every connection and reader that follows the topic run the
// action, on every node. It needs no hub, so any process may call it. Delivery is
// at most once and only to whoever is there: what has to arrive is a push
// (Publish). It is sent once; after an error it may have been sent.
//
// It needs PublisherConfig.Broker, unless the publisher's store is a Broker
// itself. The error wraps ErrInvalid or ErrTooLarge when repeating cannot help.
func (p *Publisher) PublishTopic(ctx context.Context, topic, action string, data any) error {
	if p.cfg.Broker == nil {
		return errors.New("push: publish on a topic: no PublisherConfig.Broker")
	}
	m, err := NewTopicMessage(action, data)
	if err == nil {
		err = ValidTopic(topic)
	}
	if err == nil && len(m.Data) > p.cfg.MaxDataBytes {
		err = fmt.Errorf("%w: %d bytes of data, at most %d are allowed", ErrTooLarge, len(m.Data), p.cfg.MaxDataBytes)
	}
	var payload []byte
	if err == nil {
		payload, err = json.Marshal(m)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
		defer cancel()
		err = p.cfg.Broker.Publish(ctx, topic, payload)
	}
	if err != nil {
		return fmt.Errorf("push: publish %s on topic %q: %w", action, topic, err)
	}
	return nil
}
