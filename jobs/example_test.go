package jobs_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// Photo is what the examples' work is about, Thumbnail its result.
type (
	Photo     struct{ Name string }
	Thumbnail struct{ Width int }
)

// Resize is a kind of work. A package defines it once; who enqueues it and who
// does it may be different programs.
var Resize = jobs.Define[Photo, Thumbnail]("photo.resize", jobs.MaxRetry(3))

func resize(_ context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
	return Thumbnail{Width: 10 * len(j.Args.Name)}, nil
}

// A client enqueues, a pool works, and the session that asked is told the end.
func Example() {
	server := miniredis.NewMiniRedis() // a program connects to its Redis
	if err := server.Start(); err != nil {
		panic(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	log := slog.New(slog.DiscardHandler)

	store, err := redisstream.New(rdb, redisstream.Config{Logger: log})
	if err != nil {
		panic(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{Logger: log})
	if err != nil {
		panic(err)
	}
	client, err := jobs.NewClient(rdb, publisher, jobs.ClientConfig{Logger: log})
	if err != nil {
		panic(err)
	}
	pool, err := jobs.NewPool(rdb, publisher, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: log}})
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	Resize.Handle(pool, func(ctx context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
		defer close(done)
		return resize(ctx, j)
	})

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error)
	go func() { ended <- pool.Run(ctx) }()

	session := publisher.Session(push.NewID()) // in a page: the action's ctx.Session()
	handle, err := Resize.With(client).Enqueue(ctx, Photo{"cat.jpg"}, jobs.Notify(session, jobs.OnDone("Resized")))
	if err != nil {
		panic(err)
	}
	<-done
	stop()
	fmt.Println(<-ended) // it waits for what it has begun

	info, err := client.Get(context.Background(), handle.ID)
	if err != nil {
		panic(err)
	}
	backlog, err := store.Pending(context.Background(), session.ID(), 0)
	if err != nil {
		panic(err)
	}
	fmt.Println(info.State, string(info.Result))
	fmt.Println(backlog.Entries[0].Action)
	// Output:
	// <nil>
	// completed {"Width":70}
	// Resized
}
