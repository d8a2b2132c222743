package live_test

import (
	"testing"
	"time"

	"lastmile/live"
	"lastmile/push"
)

// listener hears a topic.
type listener struct{}

func (listener) Mount(s list, ctx *live.Context) (list, error) { return s, ctx.Subscribe("stock") }

func (listener) Put(s list, ctx *live.Context) (list, error) {
	s.Items = append(s.Items, ctx.GetString("item"))
	return s, nil
}

// TestTopicFromAProcessWithoutAHub: a worker has a publisher and nothing else.
func TestTopicFromAProcessWithoutAHub(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		allow := live.Config{Topics: func(live.Identity, string) error { return nil }}
		one, two := startNode(e.t, e.store, allow), startNode(e.t, e.store, allow)
		p1 := e.browser().Open(view(e.t, one, listener{}, list{}, listHTML), "/")
		p2 := e.browser().Open(view(e.t, two, listener{}, list{}, listHTML), "/")
		time.Sleep(time.Second) // they follow it
		publisher, err := push.NewPublisher(e.store, push.PublisherConfig{})
		if err != nil {
			e.t.Fatal(err)
		}
		if err := publisher.PublishTopic(e.t.Context(), "stock", "Put", put("7")); err != nil {
			e.t.Fatal(err)
		}
		waitItems(e.t, p1, "7")
		waitItems(e.t, p2, "7")
	})
}
