package redisstream_test

import (
	"testing"
	"testing/synctest"

	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// TestPrimaryOfServersThatKeepInfoToThemselves: they have no name and no
// replicas, and nobody is warned about that.
func TestPrimaryOfServersThatKeepInfoToThemselves(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, transport *redisstream.Transport) {
		t.Helper()
		if p, err := transport.Primary(t.Context()); err != nil || p != (push.Primary{}) {
			t.Errorf("the primary is %+v, %v; want one that says nothing", p, err)
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			check(t, newTransport(t, pushtest.NewRedis(t).Client(t), redisstream.Config{}))
		})
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, redistest.Config{Args: []string{"--rename-command", "INFO", ""}})
		check(t, newTransport(t, server.Client(t), redisstream.Config{}))
	})
}
