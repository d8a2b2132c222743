package redisstream_test

import (
	"testing"
	"testing/synctest"

	"lastmile/internal/patience"
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

// TestMastersTellOfALostReplica: a server remembers that one has followed when it
// lists none any more, and so does the one that was promoted.
func TestMastersTellOfALostReplica(t *testing.T) {
	t.Parallel()
	primary, replica := redistest.Start(t, redistest.Config{}), redistest.Start(t, redistest.Config{})
	transport := newTransport(t, primary.Client(t), redisstream.Config{})
	expect := func(transport *redisstream.Transport, when string, listed int, followed bool) {
		t.Helper()
		patience.Until(t, when, func() bool {
			masters, err := transport.Masters(t.Context())
			return err == nil && len(masters) == 1 && len(masters[0].Replicas) == listed && masters[0].Followed == followed
		})
	}
	expect(transport, "a server alone", 0, false)
	replicate(t.Context(), t, replica, primary.Addr())
	expect(transport, "one that is followed", 1, true)
	if err := replica.Client(t).Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	expect(transport, "one that was followed", 0, true)
	expect(newTransport(t, replica.Client(t), redisstream.Config{}), "one that was promoted", 0, true)
}
