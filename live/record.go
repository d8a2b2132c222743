package live

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"lastmile/live/internal/delivery"
)

// connDocument is the stored form of a connection's state.
type connDocument struct {
	State json.RawMessage `json:"s"`
	connExtras
}

// connExtras is what a connection's record has besides its state.
type connExtras struct {
	Topics []string `json:"t,omitempty"`
	// Owed is what the page has to acknowledge from its mount.
	Owed *delivery.Receipt `json:"o,omitempty"`
	// Applied holds the IDs of the latest pushes in the state.
	Applied []byte `json:"a,omitempty"`
	// Refused holds the errors of messages that count as dealt with, as far as
	// the browser may not have heard of them.
	Refused []frameError `json:"r,omitempty"`
	// Events were emitted while the page was made for a GET: HTML cannot carry
	// them, so they wait for the first WebSocket.
	Events []event `json:"e,omitempty"`
	// Place is the query of the page's address, once the page has patched it.
	Place *string `json:"u,omitempty"`
}

func (x *connExtras) none() bool {
	return len(x.Topics) == 0 && x.Owed == nil && len(x.Applied) == 0 && len(x.Refused) == 0 && len(x.Events) == 0 && x.Place == nil
}

// encodeConn writes a connection's document around its encoded state.
func encodeConn(encoded []byte, extras connExtras) ([]byte, error) {
	out := make([]byte, 0, len(encoded)+8)
	out = append(out, `{"s":`...)
	out = append(out, encoded...)
	if extras.none() {
		return append(out, '}'), nil
	}
	rest, err := json.Marshal(extras)
	if err != nil {
		return nil, fmt.Errorf("live: encode connection: %w", err)
	}
	out = append(out, ',')
	return append(out, rest[1:]...), nil
}

func topicList(topics map[string]bool) []string { return slices.Sorted(maps.Keys(topics)) }

// decodeConn reads a connection's document.
func decodeConn(b []byte) (connDocument, error) {
	var d connDocument
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("live: decode connection: %w", err)
	}
	return d, nil
}

// subscribed applies an action's topic changes to a visitor's subscriptions.
func (v *visitor) subscribed(changes map[string]bool) {
	for topic, on := range changes {
		if !on {
			delete(v.topics, topic)
			continue
		}
		if v.topics == nil {
			v.topics = map[string]bool{}
		}
		v.topics[topic] = true
	}
}
