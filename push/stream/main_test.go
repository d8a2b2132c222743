package stream_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

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

var key = stream.Key{Group: "g", Name: "n"}

// runStore returns a store on client that runs until stop is called.
func runStore(t testing.TB, client redis.UniversalClient) (store *redisstore.Store, stop func()) {
	t.Helper()
	store, err := redisstore.New(client, redisstore.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- store.Run(ctx) }()
	return store, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// bubble runs a test in fake time on a store in memory.
func bubble(t *testing.T, test func(t *testing.T, store *redisstore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
		defer stop()
		test(t, store)
	})
}

func allowAll(*http.Request, stream.Access) error { return nil }

func newHandler(t testing.TB, store stream.Store, cfg stream.Config) *stream.Handler {
	t.Helper()
	if cfg.Authorize == nil {
		cfg.Authorize = allowAll
	}
	cfg.Logger = quiet
	h, err := stream.New(stream.Deps{Store: store}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are pairs.
func do(t testing.TB, h http.Handler, method, target, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "text/plain")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func open(t testing.TB, store stream.Store, key stream.Key, cfg stream.WriterConfig) *stream.Writer {
	t.Helper()
	w, err := stream.Open(t.Context(), store, key, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
