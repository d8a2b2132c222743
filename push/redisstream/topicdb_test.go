package redisstream_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push/redisstream"
)

// TestTopicsOfTwoDatabases: a server's channels are heard in all its databases,
// so what is published in one must not be taken for the other's, nor for that
// of a prefix which reads alike.
func TestTopicsOfTwoDatabases(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	topics := func(db int, prefix string) *redisstream.Topics {
		c := redis.NewClient(&redis.Options{Addr: server.Addr(), DB: db})
		t.Cleanup(func() { _ = c.Close() })
		return newTransport(t, c, redisstream.Config{Prefix: prefix}).Topics()
	}
	home := topics(0, "p")
	got := make(chan string, 10)
	for _, topic := range []string{"topic", "t:0:topic"} {
		stop, err := home.Follow(t.Context(), topic, func(b []byte) { got <- string(b) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	for _, b := range []*redisstream.Topics{topics(1, "p"), topics(0, "q"), topics(0, "p:t:0"), home} {
		text := "other"
		if b == home {
			text = "home"
		}
		if err := b.Publish(t.Context(), "topic", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if text := patience.Receive(t, "a message", got); text != "home" {
		t.Errorf("heard %q of another", text)
	}
}
