package wire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"lastmile/internal/patience"
	"lastmile/live/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a server's socket and its browser.
type pair struct {
	socket  *wire.Socket
	browser *websocket.Conn
	writer  *wire.Writer
	pool    *wire.Pool
}

// connect joins a browser with a server, by TLS or without.
func connect(t *testing.T, secure bool, limit time.Duration) *pair {
	t.Helper()
	sockets := make(chan *wire.Socket, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := wire.Accept(w, r, nil, 1<<20)
		if err != nil {
			t.Error(err)
		}
		sockets <- s
	}))
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	browser, _, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}}) //nolint:bodyclose // Dial says: never
	if err != nil {
		t.Fatal(err)
	}
	browser.SetReadLimit(-1)
	p := &pair{socket: <-sockets, browser: browser, pool: new(wire.Pool)}
	p.writer = p.socket.Writer(p.pool, limit)
	t.Cleanup(func() {
		_ = browser.CloseNow() // the test may have been first
		p.socket.Cut()
	})
	return p
}

// send sends a text, and waits until it has left.
func (p *pair) send(t *testing.T, text string) error {
	t.Helper()
	f := p.pool.Get()
	f.End(append(f.Start(), text...))
	if f.Size() != len(text) {
		t.Errorf("a frame of %d bytes has the size %d", len(text), f.Size())
	}
	if err := p.writer.Send(f); err != nil || !p.writer.Busy() {
		return err
	}
	<-p.writer.Left()
	return p.writer.Result()
}

func read(t *testing.T, from *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
	defer cancel()
	kind, b, err := from.Read(ctx)
	if err != nil || kind != websocket.MessageText {
		t.Fatalf("read: %v, %v", kind, err)
	}
	return string(b)
}

// TestFramesArrive: at each length of a header, and where the socket takes a
// frame at once or not.
func TestFramesArrive(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := connect(t, secure, patience.Limit)
			for _, n := range []int{0, 1, 125, 126, 127, 1<<16 - 1, 1 << 16, 16 << 20} {
				text := strings.Repeat("x", n)
				sent := make(chan error, 1)
				go func() { sent <- p.send(t, text) }()
				if got := read(t, p.browser); got != text {
					t.Errorf("a frame of %d bytes arrives with %d", n, len(got))
				}
				if err := <-sent; err != nil || p.writer.Busy() {
					t.Errorf("a frame of %d bytes: %v, busy: %v", n, err, p.writer.Busy())
				}
			}
		})
	}
}

// large is more than a system's buffers hold.
var large = strings.Repeat("x", 32<<20)

// TestNothingCutsIntoAFrame: answers of other goroutines wait until a frame that
// has begun is over.
func TestNothingCutsIntoAFrame(t *testing.T) {
	t.Parallel()
	p := connect(t, false, patience.Limit)
	f := p.pool.Get()
	f.End(append(f.Start(), large...))
	if err := p.writer.Send(f); err != nil || !p.writer.Busy() {
		t.Fatalf("nobody reads, and the frame has left: %v", err)
	}
	answered := make(chan error, 1)
	go func() { answered <- p.socket.Answer(t.Context(), "{}") }()
	if got := read(t, p.browser); got != large {
		t.Errorf("%d bytes of %d arrive", len(got), len(large))
	}
	if got := read(t, p.browser); got != "{}" {
		t.Errorf("answer %q", got)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-p.writer.Left()
	if err := p.writer.Result(); err != nil {
		t.Error(err)
	}
	if err := p.send(t, "next"); err != nil || read(t, p.browser) != "next" {
		t.Errorf("the next frame: %v", err)
	}
}

// TestSlowBrowser: one that reads nothing within the limit is told apart from
// one that is gone.
func TestSlowBrowser(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := connect(t, secure, 50*time.Millisecond)
			if err := p.send(t, large); !errors.Is(err, wire.ErrSlow) {
				t.Errorf("got %v, want ErrSlow", err)
			}
		})
	}
}

func TestBrowserThatIsGone(t *testing.T) {
	t.Parallel()
	p := connect(t, false, patience.Limit)
	if err := p.browser.CloseNow(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.socket.Read(t.Context()); err == nil {
		t.Error("nobody is there, and yet there is a message")
	}
	p.socket.Cut()
	if err := p.send(t, "x"); err == nil || errors.Is(err, wire.ErrSlow) {
		t.Errorf("to nobody: %v", err)
	}
}

// TestAwait returns when there is something to read, and at the end.
func TestAwait(t *testing.T) {
	t.Parallel()
	p := connect(t, false, patience.Limit)
	for _, text := range []string{"one", "two"} {
		if err := p.browser.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		p.socket.Await()
		if b, err := p.socket.Read(t.Context()); err != nil || string(b) != text {
			t.Errorf("read %q: %v", b, err)
		}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			p.socket.Await()
			if _, err := p.socket.Read(t.Context()); err != nil {
				return
			}
		}
	}()
	told := make(chan error, 1)
	go func() {
		_, _, err := p.browser.Read(t.Context())
		told <- err
	}()
	p.socket.Close(websocket.StatusServiceRestart, "1")
	if err := <-told; websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the browser is told %v", err)
	}
	<-over
}

func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if s, err := wire.Accept(w, httptest.NewRequest(http.MethodGet, "/", nil), nil, 1); err == nil || s != nil || w.Code != http.StatusUpgradeRequired {
		t.Errorf("no WebSocket: %v, %d", err, w.Code)
	}
}

// TestReadLimit: a message that is too long ends the socket.
func TestReadLimit(t *testing.T) {
	t.Parallel()
	p := connect(t, false, patience.Limit)
	go func() { _ = p.browser.Write(t.Context(), websocket.MessageText, []byte(large)) }() // it is cut off
	if _, err := p.socket.Read(t.Context()); !errors.Is(err, websocket.ErrMessageTooBig) {
		t.Errorf("got %v", err)
	}
}

// TestPoolGivesEmptyFrames, also after it has seen others.
func TestPoolGivesEmptyFrames(t *testing.T) {
	t.Parallel()
	var pool wire.Pool
	for _, n := range []int{0, 100, 1 << 20} {
		f := pool.Get()
		if f.Size() != 0 {
			t.Errorf("a new frame has %d bytes", f.Size())
		}
		f.End(append(f.Start(), make([]byte, n)...))
		pool.Put(f)
	}
	if f := pool.Get(); f.Size() != 0 || cap(f.Start()) >= 1<<20 {
		t.Errorf("a frame of %d bytes, with room for %d", f.Size(), cap(f.Start()))
	}
}
