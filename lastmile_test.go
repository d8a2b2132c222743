package lastmile_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile"
	"lastmile/devredis"
	"lastmile/internal/patience"
	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push/redisstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// embedded returns a Redis that several Apps of a test share.
func embedded(t *testing.T) redis.UniversalClient {
	t.Helper()
	client, closeAll, err := devredis.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAll)
	return client
}

// text is what a log has said.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func logTo(l *text) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func newApp(t *testing.T, cfg lastmile.Config) *lastmile.App {
	t.Helper()
	cfg.StartTimeout = patience.Limit
	app, err := lastmile.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// status is that of the answer to a request.
func status(t *testing.T, h http.Handler, path string) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return w.Code
}

// TestRolesAreOneApplication: the page of one process hears of the job that another
// works on, with nothing but the role different.
func TestRolesAreOneApplication(t *testing.T) {
	t.Parallel()
	client := embedded(t)
	web := newApp(t, lastmile.Config{Redis: client, Role: lastmile.Web, Setup: setup, Registerer: prometheus.NewRegistry()})
	worker := newApp(t, lastmile.Config{Redis: client, Role: lastmile.Worker, Setup: setup, Registerer: prometheus.NewRegistry()})
	other := newApp(t, lastmile.Config{Redis: client, Prefix: "other", Setup: setup})
	livetest.Run(t, web.Run, worker.Run, other.Run)

	tab := livetest.Open(t, web, "/")
	tab.Click("button", nil)
	tab.WaitText("hello ann")

	// A worker has no pages, and says that it is well.
	for path, want := range map[string]int{"/": http.StatusNotFound, "/healthz": http.StatusOK, "/readyz": http.StatusOK} {
		if got := status(t, worker, path); got != want {
			t.Errorf("worker, %s: status %d, want %d", path, got, want)
		}
	}
	// Another application on the same Redis knows nothing of it.
	if n, err := other.Jobs().Get(t.Context(), "none"); err == nil {
		t.Errorf("got %v", n)
	}
}

// TestNothingIsForgotten: each role runs all that the guarantees rest on.
func TestNothingIsForgotten(t *testing.T) {
	t.Parallel()
	client := embedded(t)
	idle := func(ctx context.Context) error { <-ctx.Done(); return nil }
	pageOnly := func(*lastmile.App) error { return nil }
	for _, tt := range []struct {
		name  string
		role  lastmile.Role
		setup func(*lastmile.App) error
		want  []string
	}{
		{"both", "", setup, []string{"mailboxes", "publisher", "streams", "node", "hub", "worker pool", "more"}},
		{"pages without jobs", lastmile.Both, pageOnly, []string{"mailboxes", "publisher", "streams", "node", "job watchdog", "hub", "more"}},
		{"web", lastmile.Web, setup, []string{"mailboxes", "publisher", "streams", "node", "job watchdog", "hub", "more"}},
		{"worker", lastmile.Worker, setup, []string{"mailboxes", "publisher", "streams", "worker pool", "more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, lastmile.Config{Redis: client, Role: tt.role, Setup: tt.setup})
			app.Background("more", idle)
			if got := app.TaskNames(); !slices.Equal(got, tt.want) {
				t.Errorf("runs %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBadConfigs(t *testing.T) {
	t.Parallel()
	client := embedded(t)
	broken := errors.New("broken")
	for _, tt := range []struct {
		cfg  lastmile.Config
		want string
	}{
		{lastmile.Config{}, "there is no Redis"},
		{lastmile.Config{RedisURL: "redis://127.0.0.1:1", Redis: client}, "both set"},
		{lastmile.Config{RedisURL: "redis://:hunter2@[::1"}, "RedisURL: it is not a URL"},
		{lastmile.Config{RedisURL: "127.0.0.1:6379"}, "RedisURL: it has no scheme"},
		{lastmile.Config{RedisURL: "redis://127.0.0.1:1", StartTimeout: time.Millisecond}, "redis does not answer"},
		{lastmile.Config{Redis: client, Role: "wed"}, `Role is "wed"`},
		{lastmile.Config{Development: devredis.Open, Role: lastmile.Web}, "that others reach too"},
		{lastmile.Config{Redis: client, Store: redisstream.Config{Prefix: "x"}}, "Config.Prefix"},
		{lastmile.Config{Redis: client, DrainDelay: -1}, "negative"},
		{lastmile.Config{Redis: client, Live: live.Config{Secret: []byte("short")}}, "Secret"},
		{lastmile.Config{Development: func() (redis.UniversalClient, func(), error) { return nil, nil, broken }}, "broken"},
		{lastmile.Config{Development: devredis.Open, Setup: func(*lastmile.App) error { return broken }}, "broken"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			var log text
			tt.cfg.Logger = logTo(&log)
			_, err := lastmile.New(t.Context(), tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error()+log.String(), "hunter2") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestEmbeddedIsSaidAloud: nobody takes the embedded Redis for one that keeps
// what it accepts.
func TestEmbeddedIsSaidAloud(t *testing.T) {
	t.Parallel()
	for development, want := range map[bool]int{true: 1, false: 0} {
		var log text
		cfg := lastmile.Config{Development: devredis.Open, Logger: logTo(&log), Addr: "127.0.0.1:0"}
		if !development {
			cfg.Redis = embedded(t)
		}
		ctx, stop := context.WithCancel(t.Context())
		cfg.Setup = func(app *lastmile.App) error {
			app.Background("stop", func(ctx context.Context) error { stop(); <-ctx.Done(); return nil })
			return nil
		}
		if err := lastmile.Run(ctx, cfg); err != nil {
			t.Error(err)
		}
		if got := strings.Count(log.String(), "level=WARN msg=\"redis is embedded"); got != want {
			t.Errorf("development %v: said %d times, want %d:\n%s", development, got, want, &log)
		}
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	client := embedded(t)
	for _, tt := range []struct {
		cfg  lastmile.Config
		want string
	}{
		{lastmile.Config{Role: lastmile.Worker}, "no kind is registered"},
		{lastmile.Config{Addr: "127.0.0.1:no"}, "Addr"},
		{lastmile.Config{Setup: func(app *lastmile.App) error {
			app.Background("beat", func(context.Context) error { return nil })
			return nil
		}, Addr: "127.0.0.1:0"}, "beat: it stopped by itself"},
	} {
		tt.cfg.Redis = client
		if err := lastmile.Run(t.Context(), tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	app := newApp(t, lastmile.Config{Redis: client, Role: lastmile.Worker})
	for _, want := range []string{"no kind", "called before"} {
		if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestDrain: a proxy is told before anything else ends.
func TestDrain(t *testing.T) {
	t.Parallel()
	app := newApp(t, lastmile.Config{Redis: embedded(t), Setup: setup, DrainDelay: time.Hour})
	ctx, stop := context.WithCancel(t.Context())
	broken := errors.New("broken")
	fail := make(chan struct{})
	app.Background("failing", func(context.Context) error { <-fail; return broken })
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	tab := livetest.Open(t, app, "/")
	stop()
	for status(t, app, "/readyz") != http.StatusServiceUnavailable { // the context's end is told on another goroutine
		<-time.After(time.Millisecond)
	}
	tab.Click("button", nil) // pages and jobs go on
	tab.WaitText("hello ann")
	tab.Close()
	close(fail)
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("Run: %v", err)
	}
}

// TestProgramsAreBuiltWithoutDevelopment: who does not ask for it gets no Redis
// inside the process, no flags and no exporters.
func TestProgramsAreBuiltWithoutDevelopment(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	list := string(out)
	if !strings.Contains(list, "github.com/hibiken/asynq\n") {
		t.Fatalf("the list lacks what is used:\n%s", list)
	}
	for _, unwanted := range []string{"miniredis", "gopher-lua", "kong", "otlp", "asynqmon", "chromedp", "testing\n"} {
		if strings.Contains(list, unwanted) {
			t.Errorf("the package links %q", unwanted)
		}
	}
}
