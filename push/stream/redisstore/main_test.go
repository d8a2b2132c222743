package redisstore_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"lastmile/internal/redistest"
	"lastmile/push/pushtest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

func TestMain(m *testing.M) {
	logging.Disable() // the client's own reports of the faults that tests cause
	goleak.VerifyTestMain(m)
}

// quiet drops the logs of faults that a test causes on purpose.
var quiet = slog.New(slog.DiscardHandler)

func newStore(t testing.TB, client redis.UniversalClient) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(client, redisstore.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// stores are the kinds of Redis that every behaviour is shown on.
func stores(t *testing.T, test func(t *testing.T, store *redisstore.Store)) {
	t.Helper()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		test(t, newStore(t, pushtest.NewRedis(t).Client(t)))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, newStore(t, redistest.Start(t, redistest.Config{}).Client(t)))
	})
}

var key = stream.Key{Group: "g", Name: "n"}

// is fails the test unless err wraps want, or is nil for nil.
func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// all reads what a stream holds.
func all(t testing.TB, store stream.Store, key stream.Key, from stream.Offset) string {
	t.Helper()
	var b []byte
	for {
		page, err := store.Read(t.Context(), key, from, 100, false)
		if err != nil {
			t.Fatalf("Read from %s: %v", from, err)
		}
		b = append(b, page.Data...)
		if from = page.To; page.UpToDate() {
			return string(b)
		}
	}
}

func reads(store *redisstore.Store) float64 { return testutil.ToFloat64(store.Reads()) }

func missed(store *redisstore.Store) float64 { return testutil.ToFloat64(store.Missed()) }
