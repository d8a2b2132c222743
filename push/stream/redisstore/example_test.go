package redisstore_test

import (
	"context"
	"fmt"
	"time"

	"lastmile/devredis"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// A store on a Redis in this process; production has redis.NewUniversalClient in
// its place, and Run in the program's errgroup.
func ExampleNew() {
	client, closeAll, err := devredis.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer closeAll()
	store, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- store.Run(ctx) }()

	key := stream.Key{Group: "chat", Name: "answer"}
	_, created, err := store.Create(ctx, key, stream.Create{ContentType: "text/plain", Data: []byte("hello")})
	fmt.Println(created, err)
	fmt.Println(store.Expire(ctx, key, time.Hour))
	for _, k := range redisstore.KeyTable() {
		fmt.Println(k.Name, k.Type)
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// true <nil>
	// <nil>
	// <p>:{<group>}:s:<name> hash
	// <p>:{<group>}:d:<name> stream
	// <nil>
}
