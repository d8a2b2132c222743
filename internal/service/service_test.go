package service_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lastmile/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary notes what happens in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

// task waits for its end and notes it.
func (d *diary) task(name string) service.Task {
	return service.Task{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		d.note(name)
		return nil
	}}
}

func TestRunStopsFromTheTop(t *testing.T) {
	t.Parallel()
	var d diary
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := service.Run(ctx, []service.Task{d.task("store")}, []service.Task{d.task("node")}, []service.Task{d.task("web")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"web", "node", "store"}; !slices.Equal(d.lines, want) {
		t.Errorf("stopped in the order %v, want %v", d.lines, want)
	}
}

func TestRunEndsWithAFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("port taken")
	for name, err := range map[string]error{"with an error": broken, "by itself": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d diary
			got := service.Run(t.Context(), []service.Task{d.task("store")}, []service.Task{{Name: "web", Run: func(context.Context) error { return err }}})
			if got == nil || !strings.HasPrefix(got.Error(), "web: ") || (err != nil && !errors.Is(got, err)) {
				t.Errorf("got %v", got)
			}
			if !slices.Equal(d.lines, []string{"store"}) {
				t.Errorf("the rest was not stopped: %v", d.lines)
			}
		})
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	})}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Serve(ctx, s, func() error { return s.Serve(ln) }, time.Minute) }()
	answered := make(chan error, 1)
	go func() {
		r, err := http.Get("http://" + ln.Addr().String())
		if err == nil {
			err = r.Body.Close()
		}
		answered <- err
	}()
	<-entered
	stop()
	select {
	case err := <-done:
		t.Fatalf("Serve returned with a request under way: %v", err)
	default:
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the request under way was cut: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}
