package redisstream_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// TestListenLeavesNothingBehind stops a listener while it dials, for each of its
// connections: what go-redis does about a dial that fails would go on after
// Listen has returned, and the bubble tells.
func TestListenLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for n := range int32(5) {
		t.Run(fmt.Sprintf("connection %d", n+1), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stopListening(t, n+1)
			})
		})
	}
}

// stopListening stops a listener while the nth connection is being dialled, if
// it makes as many.
func stopListening(t *testing.T, nth int32) {
	t.Helper()
	server := pushtest.NewRedis(t).Server
	var dials atomic.Int32
	held := make(chan struct{})
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", Protocol: 2,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			if dials.Add(1) == nth {
				<-held
			}
			return server.Dial()
		},
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	transport := newTransport(t, client, redisstream.Config{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- transport.Listen(ctx, "node", &ear{}) }()
	synctest.Wait()
	stop()
	synctest.Wait()
	close(held)
	if err := <-done; err != nil {
		t.Errorf("Listen: %v", err)
	}
	if err := client.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
