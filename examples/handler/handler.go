// Package handler is a worker of an existing Asynq application that tells pages
// what it has done: docs/recipes/existing-handler.md shows it.
package handler

import (
	"context"
	"encoding/json"

	"github.com/hibiken/asynq"

	"lastmile/push"
	"lastmile/push/redisstream"
)

// order is the task's payload. Session is that of who ordered: what put the task
// in the queue wrote it.
type order struct{ Item, Session string }

// NewPublisher is all that the worker needs of Lastmile: no hub, no node.
func NewPublisher(store *redisstream.Transport) (*push.Publisher, error) {
	return push.NewPublisher(store, push.PublisherConfig{Broker: store.Topics()})
}

// Handle is the handler, with what tells the pages at its end.
func Handle(publisher *push.Publisher) asynq.HandlerFunc {
	return func(ctx context.Context, task *asynq.Task) error {
		var o order
		if err := json.Unmarshal(task.Payload(), &o); err != nil {
			return err
		}
		if err := publisher.PublishTopic(ctx, "stock", "Changed", map[string]any{"item": o.Item}); err != nil {
			return err
		}
		return publisher.Session(o.Session).TriggerAction("Ordered", map[string]any{"item": o.Item})
	}
}
