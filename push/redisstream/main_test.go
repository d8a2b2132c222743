package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

func TestMain(m *testing.M) {
	logging.Disable() // the client's own reports of the faults that tests cause
	goleak.VerifyTestMain(m)
}

// quiet drops the logs of faults that a test causes on purpose.
var quiet = slog.New(slog.DiscardHandler)

func newTransport(t testing.TB, client redis.UniversalClient, cfg redisstream.Config) *redisstream.Transport {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	transport, err := redisstream.New(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return transport
}

// onServer returns a Transport on a server of its own.
func onServer(t testing.TB, cfg redisstream.Config) (*redisstream.Transport, *redistest.Server) {
	t.Helper()
	s := redistest.Start(t, redistest.Config{AOF: "always"})
	return newTransport(t, s.Client(t), cfg), s
}

func message(session, id string) push.Message {
	return push.Message{ID: id, Session: session, Action: "Do", Data: []byte(`{"id":"` + id + `"}`)}
}

func mustAppend(t testing.TB, a push.Appender, m push.Message) push.Receipt {
	t.Helper()
	r, err := a.Append(t.Context(), m)
	if err != nil {
		t.Fatalf("Append(%s): %v", m.ID, err)
	}
	return r
}

// appendN appends n pushes with the IDs p0, p1, ...
func appendN(t testing.TB, a push.Appender, session string, n int) []push.Seq {
	t.Helper()
	seqs := make([]push.Seq, n)
	for i := range seqs {
		seqs[i] = mustAppend(t, a, message(session, fmt.Sprintf("p%d", i))).Seq
	}
	return seqs
}

func ids(entries []push.Entry) string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.ID
	}
	return strings.Join(list, " ")
}

// mustRead reads session s.
func mustRead(t testing.TB, transport *redisstream.Transport, after push.Seq) []push.Entry {
	t.Helper()
	var all []push.Entry
	for {
		page, err := transport.Read(t.Context(), "s", after, 100)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		all = append(all, page...)
		if len(page) < 100 {
			return all
		}
		after = page[len(page)-1].Seq
	}
}

// ear is a push.Listener that keeps what it hears.
type ear struct {
	mu      sync.Mutex
	notices []push.Notice
	resyncs int
}

func (e *ear) Notify(n []push.Notice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notices = append(e.notices, n...)
}

func (e *ear) Resync() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resyncs++
}

func (e *ear) heard() (notices []push.Notice, resyncs int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.notices), e.resyncs
}

// heardID reports whether a notice of the push has come.
func (e *ear) heardID(id string) bool {
	notices, _ := e.heard()
	return slices.ContainsFunc(notices, func(n push.Notice) bool { return n.Entry != nil && n.Entry.ID == id })
}

// heardPrefix is heardID for any push whose ID starts so.
func (e *ear) heardPrefix(prefix string) bool {
	notices, _ := e.heard()
	return slices.ContainsFunc(notices, func(n push.Notice) bool { return n.Entry != nil && strings.HasPrefix(n.Entry.ID, prefix) })
}

func (e *ear) resynced(more int) func() bool {
	return func() bool {
		_, n := e.heard()
		return n >= more
	}
}

// listen runs Listen for node a until the test, or the returned stop, ends.
func listen(t testing.TB, transport *redisstream.Transport) (e *ear, stop func()) {
	t.Helper()
	return listenAs(t, transport, "a")
}

// listenAs is listen for a node of another name.
func listenAs(t testing.TB, transport *redisstream.Transport, node string) (e *ear, stop func()) {
	t.Helper()
	e = &ear{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- transport.Listen(ctx, node, e) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := patience.Receive(t, "Listen to return", done); err != nil {
				t.Errorf("Listen: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	patience.Until(t, "first resync", e.resynced(1))
	return e, stop
}

func isInvalid(err error) bool { return errors.Is(err, push.ErrInvalid) }
