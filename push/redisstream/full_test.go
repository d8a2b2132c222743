package redisstream_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"lastmile/internal/redistest"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// TestFull: a store is as full as its share of maxmemory, 0 without one, and 0 when
// it does not say.
func TestFull(t *testing.T) {
	t.Parallel()
	expect := func(t *testing.T, transport *redisstream.Transport, from, to float64) {
		t.Helper()
		if got, err := transport.States().Full(t.Context()); err != nil || got < from || got > to {
			t.Errorf("the store is %.3f full (error %v), want %.3f to %.3f", got, err, from, to)
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			expect(t, newTransport(t, pushtest.NewRedis(t).Client(t), redisstream.Config{}), 0, 0)
		})
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		client := redistest.Start(t, redistest.Config{}).Client(t)
		transport := newTransport(t, client, redisstream.Config{})
		expect(t, transport, 0, 0)
		if err := client.ConfigSet(t.Context(), "maxmemory", "100mb").Err(); err != nil {
			t.Fatal(err)
		}
		expect(t, transport, 0.001, 0.1)
		if err := client.Set(t.Context(), "others", strings.Repeat("x", 20<<20), 0).Err(); err != nil {
			t.Fatal(err)
		}
		expect(t, transport, 0.2, 0.6)
		if err := client.ConfigSet(t.Context(), "maxmemory", "10mb").Err(); err != nil {
			t.Fatal(err)
		}
		expect(t, transport, 2, 6)
	})
	t.Run("one that keeps INFO to itself", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, redistest.Config{Args: []string{"--rename-command", "INFO", "", "--maxmemory", "1mb"}})
		expect(t, newTransport(t, server.Client(t), redisstream.Config{}), 0, 0)
	})
	t.Run("one that is gone", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, redistest.Config{})
		transport := newTransport(t, server.Client(t), redisstream.Config{})
		server.Stop()
		if _, err := transport.States().Full(t.Context()); err == nil {
			t.Error("a store that does not answer says how full it is")
		}
	})
}
