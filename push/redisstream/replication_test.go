package redisstream_test

import (
	"testing"
	"testing/synctest"

	"lastmile/internal/redistest"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// TestMastersThatKeepInfoToThemselves: they have no name and no
// replicas, and nobody is warned about that.
func TestMastersThatKeepInfoToThemselves(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, transport *redisstream.Transport) {
		t.Helper()
		masters, err := transport.Masters(t.Context())
		if err != nil || len(masters) != 1 || masters[0].ID != "" || masters[0].Offset != 0 || len(masters[0].Replicas) > 0 {
			t.Errorf("the masters are %+v, %v; want one that says nothing", masters, err)
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
