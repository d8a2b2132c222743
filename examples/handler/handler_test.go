package handler_test

import (
	"log/slog"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile/examples/handler"
	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/redisstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestHandlerTellsThePages: what the handler says is in the mailbox, and has
// reached who follows the topic.
func TestHandlerTellsThePages(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = client.Close() }) // the test is over
	store, err := redisstream.New(client, redisstream.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := handler.NewPublisher(store)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	stop, err := store.Topics().Follow(t.Context(), "stock", func(b []byte) { heard <- string(b) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	session := push.NewID()
	task := asynq.NewTask("order", []byte(`{"Item":"lamp","Session":"`+session+`"}`))
	if err := handler.Handle(publisher)(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if got, want := patience.Receive(t, "the topic's message", heard), `{"a":"Changed","d":{"item":"lamp"}}`; got != want {
		t.Errorf("the topic got %s, want %s", got, want)
	}
	b, err := store.Pending(t.Context(), session, 0)
	if err != nil || len(b.Entries) != 1 || b.Entries[0].Action != "Ordered" {
		t.Errorf("pending %+v, %v, want Ordered", b.Entries, err)
	}
}
