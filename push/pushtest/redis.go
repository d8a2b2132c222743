package pushtest

import (
	"context"
	"net"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is an in-memory Redis that works inside a testing/synctest bubble: its
// connections are pipes and its clock, which ages keys too, is the time
// package's. Its scripts run some 20 times slower than a real server's.
type Redis struct {
	// Server is for what clients cannot do: SetError, Dump, Restart.
	Server *miniredis.Miniredis
}

// NewRedis returns an empty Redis that ends with the test.
func NewRedis(t *testing.T) *Redis {
	t.Helper()
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	t.Cleanup(server.Close)
	return &Redis{Server: server}
}

// Client returns a new client that is closed with the test.
func (r *Redis) Client(t *testing.T) redis.UniversalClient {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr:     "127.0.0.1:6379", // never dialled; a name would be looked up
		Protocol: 2,
		Dialer:   func(context.Context, string, string) (net.Conn, error) { return r.Server.Dial() },
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close the Redis client: %v", err)
		}
	})
	return client
}
