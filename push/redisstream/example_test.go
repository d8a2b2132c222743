package redisstream_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/redisstream"
)

// One transport serves a program: its publisher, its node, its dead letters.
// The client may be one of a single server, of a cluster or of Sentinel.
func ExampleNew() {
	server := miniredis.NewMiniRedis() // a program connects to its Redis
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()

	store, err := redisstream.New(client, redisstream.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	session := publisher.Session(push.NewID())
	if err := session.TriggerAction("DataLoaded", map[string]any{"value": 42}); err != nil {
		fmt.Println(err)
		return
	}
	backlog, err := store.Pending(context.Background(), session.ID(), 0)
	for _, entry := range backlog.Entries {
		fmt.Println(entry.Action, string(entry.Data))
	}
	fmt.Println(err)
	// Output:
	// DataLoaded {"value":42}
	// <nil>
}
