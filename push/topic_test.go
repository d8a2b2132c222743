package push_test

import (
	"errors"
	"strings"
	"testing"

	"lastmile/push"
	"lastmile/push/mempush"
)

func TestPublishTopicRefusesWhatCannotArrive(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	heard := 0
	if _, err := store.Follow(t.Context(), "topic", func([]byte) { heard++ }); err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{MaxDataBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		topic, action string
		data          any
		want          error
	}{
		"no data":         {"topic", "Act", nil, nil},
		"an object":       {"topic", "Act", map[string]int{"n": 1}, nil},
		"no action":       {"topic", "", nil, push.ErrInvalid},
		"no method":       {"topic", "act", nil, push.ErrInvalid},
		"no topic":        {"", "Act", nil, push.ErrInvalid},
		"an inner topic":  {"\x01disconnect", "Act", nil, push.ErrInvalid},
		"a long topic":    {strings.Repeat("x", 129), "Act", nil, push.ErrInvalid},
		"no object":       {"topic", "Act", []int{1}, push.ErrInvalid},
		"no JSON":         {"topic", "Act", map[string]any{"f": func() {}}, push.ErrInvalid},
		"more than bound": {"topic", "Act", map[string]string{"s": strings.Repeat("x", 100)}, push.ErrTooLarge},
	} {
		before := heard
		if err := publisher.PublishTopic(t.Context(), c.topic, c.action, c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if sent := heard > before; sent != (c.want == nil) {
			t.Errorf("%s: sent %v", name, sent)
		}
	}
}

// onlyAppends is a store that carries no topics.
type onlyAppends struct{ push.Appender }

func TestPublishTopicNeedsABroker(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(onlyAppends{store}, push.PublisherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := publisher.PublishTopic(t.Context(), "topic", "Act", nil); err == nil {
		t.Error("published without a Broker")
	}
}
