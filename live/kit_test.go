package live_test

import (
	"bytes"
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// store is what a test's nodes share.
type store interface {
	push.Transport
	push.States
	push.DeadLetters
	push.Broker
}

// memStore returns a store in memory.
func memStore(t testing.TB) store {
	t.Helper()
	s, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// redisStore returns a store on a Redis inside the bubble.
func redisStore(t *testing.T) store {
	t.Helper()
	client := pushtest.NewRedis(t)
	s, err := redisstream.New(client.Client(t), redisstream.Config{BlockingClient: client.Client(t), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return flat(s)
}

// flat returns the parts of a store as one.
func flat(s *redisstream.Transport) store {
	return struct {
		*redisstream.Transport
		push.States
		push.DeadLetters
		push.Broker
	}{s, s.States(), s.DeadLetters(), s.Topics()}
}

// quiet returns a logger that says nothing.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// node is one web process: its hub and what stands below it.
type node struct {
	hub       *live.Hub
	publisher *push.Publisher
	// stop ends the process in order; kill ends only what hears of pushes, as
	// a SIGKILL would end all.
	stop, kill func()
}

// secret is shared by all nodes of the tests.
func secret() []byte { return bytes.Repeat([]byte("s"), 32) }

// startNode starts a web process on the store.
func startNode(t testing.TB, s store, cfg live.Config) *node {
	t.Helper()
	return startNodeOn(t, s, func(s store) push.Broker { return s }, cfg)
}

// startNodeOn starts a web process with a Broker of its own.
func startNodeOn(t testing.TB, s store, broker func(store) push.Broker, cfg live.Config) *node {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	if cfg.Secret == nil {
		cfg.Secret = secret()
	}
	feeds, err := push.NewNode(s, push.NodeConfig{Logger: cfg.Logger})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(s, push.PublisherConfig{Logger: cfg.Logger})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := live.New(live.Deps{Node: feeds, Publisher: publisher, States: s, Broker: broker(s)}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{hub: hub, publisher: publisher}
	n.kill = livetest.Start(t, feeds.Run)
	stopHub := livetest.Start(t, hub.Run)
	n.stop = func() {
		stopHub()
		n.kill()
	}
	return n
}

// view makes a page from a template text.
func view[S any](t testing.TB, n *node, controller any, initial S, text string) *live.View[S] {
	t.Helper()
	return viewNamed(t, n, "page", controller, initial, text)
}

func viewNamed[S any](t testing.TB, n *node, name string, controller any, initial S, text string) *live.View[S] {
	t.Helper()
	tmpl, err := template.New(name).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := live.NewView(n.hub, name, controller, initial, tmpl, live.ViewConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sessionOf returns the session of a browser.
func sessionOf(t *testing.T, n *node, b *livetest.Browser) push.Session {
	t.Helper()
	var session push.Session
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if session, err = n.hub.SessionOf(w, r); err != nil {
			t.Errorf("SessionOf: %v", err)
		}
	})
	b.Peek(h, "/")
	return session
}

// trigger pushes and fails the test on an error.
func trigger(t *testing.T, s push.Session, action string, data map[string]any) {
	t.Helper()
	if err := s.TriggerAction(action, data); err != nil {
		t.Fatalf("TriggerAction %s: %v", action, err)
	}
}

// journal collects what actions did.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

// deadLetters returns what was given up.
func deadLetters(t *testing.T, s push.DeadLetters) []push.DeadLetter {
	t.Helper()
	list, err := s.List(context.Background(), push.DeadQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func viewWith[S any](t *testing.T, n *node, controller any, initial S, text string, cfg live.ViewConfig) *live.View[S] {
	t.Helper()
	v, err := live.NewView(n.hub, "page", controller, initial, template.Must(template.New("page").Parse(text)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
