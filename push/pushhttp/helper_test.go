package pushhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// quiet drops the logs of faults that a test causes on purpose.
var quiet = slog.New(slog.DiscardHandler)

// secret is what all handlers of the tests sign with.
var secret = []byte("0123456789abcdef0123456789abcdef")

// alice and bob are sessions.
const (
	alice = "alice-0123456789-abcdef"
	bob   = "bob-0123456789-abcdefgh"
)

// site is a program with a handler, reached through pipes, so that it works in a
// bubble.
type site struct {
	t       *testing.T
	store   push.Transport
	node    *push.Node
	handler *pushhttp.Handler
	pub     *push.Publisher
	client  *http.Client
	// stop ends the handler's Run and waits for it.
	stop func()

	mu    sync.Mutex
	conns map[net.Conn]bool
	cuts  int
	await chan net.Conn
	done  chan struct{}
}

// newSite starts a program on a store. The session of a request is in its header
// X-Session.
func newSite(t *testing.T, store push.Transport, cfg pushhttp.Config) *site {
	t.Helper()
	s := &site{t: t, store: store, conns: map[net.Conn]bool{}, await: make(chan net.Conn), done: make(chan struct{})}
	cfg.Logger = quiet
	if cfg.Secrets == nil {
		cfg.Secrets = [][]byte{secret}
	}
	if cfg.Authenticator == nil {
		cfg.Authenticator = func(_ http.ResponseWriter, r *http.Request) (string, error) {
			if id := r.Header.Get("X-Session"); id != "" {
				return id, nil
			}
			return "", errors.New("nobody")
		}
	}
	var err error
	if s.node, err = push.NewNode(store, push.NodeConfig{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	if s.pub, err = push.NewPublisher(store, push.PublisherConfig{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	if s.handler, err = pushhttp.New(pushhttp.Deps{Node: s.node, Publisher: s.pub, Broker: brokerOf(store)}, cfg); err != nil {
		t.Fatal(err)
	}
	s.start()
	return s
}

// inMemory is newSite on an empty store in memory, in a bubble.
func inMemory(t *testing.T, bounds mempush.Config, cfg pushhttp.Config) *site {
	t.Helper()
	store, err := mempush.New(bounds)
	if err != nil {
		t.Fatal(err)
	}
	// The server lingers behind its answer to a body that it has not read.
	t.Cleanup(func() { time.Sleep(time.Second) })
	return newSite(t, store, cfg)
}

func (s *site) start() {
	server := &http.Server{Handler: s.handler, ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelError)}
	s.client = &http.Client{Transport: &http.Transport{DialContext: s.dial, DisableKeepAlives: true}}
	stopNode := running(s.t, s.node.Run)
	s.stop = running(s.t, s.handler.Run)
	served := make(chan error, 1)
	go func() { served <- server.Serve(s) }()
	s.t.Cleanup(func() {
		s.cut()
		s.stop()
		_ = server.Close() // its listener has nothing to say
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.t.Errorf("serve: %v", err)
		}
		s.client.CloseIdleConnections()
		stopNode()
	})
}

// running runs what has a Run until stop is called or the test ends.
func running(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run after a clean stop: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// dial connects a client.
func (s *site) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	server, client := net.Pipe()
	select {
	case s.await <- server:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.done:
		return nil, net.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[client] = true
	return client, nil
}

// cut breaks all connections.
func (s *site) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // that is the fault
	}
	s.cuts += len(s.conns)
	clear(s.conns)
}

// Accept, Close and Addr make a net.Listener of the site.
func (s *site) Accept() (net.Conn, error) {
	select {
	case c := <-s.await:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *site) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	return nil
}

func (*site) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// push publishes pushes with these numbers.
func (s *site) push(session, action string, numbers ...int) {
	s.t.Helper()
	for _, n := range numbers {
		if _, err := s.pub.Session(session).Trigger(s.t.Context(), action, map[string]any{"n": n}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// pending returns the numbers of what nobody has applied.
func (s *site) pending(session string) string {
	s.t.Helper()
	b, err := s.store.Pending(s.t.Context(), session, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	for _, e := range b.Entries {
		list = append(list, numberOf(e.Data))
	}
	return strings.Join(list, " ")
}

func numberOf(data []byte) string {
	var d struct{ N int }
	if err := json.Unmarshal(data, &d); err != nil {
		return "?"
	}
	return strconv.Itoa(d.N)
}

// call is a request.
type call struct {
	method, path, session, body string
	header                      map[string]string
}

func (s *site) do(ctx context.Context, c call) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, c.method, "http://site.test/push/"+c.path, strings.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	if c.session != "" {
		r.Header.Set("X-Session", c.session)
	}
	if c.method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	return s.client.Do(r)
}

// answer is what came back for a request, its body whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *site) answer(c call) answer {
	s.t.Helper()
	res, err := s.do(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// kind returns the last part of a problem's type.
func (a answer) kind() string {
	var p struct{ Type string }
	if json.Unmarshal([]byte(a.body), &p) != nil {
		return ""
	}
	return strings.TrimPrefix(p.Type, "urn:lastmile:")
}
