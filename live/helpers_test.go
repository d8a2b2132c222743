package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lastmile/live/livetest"
	"lastmile/push"
)

// render is what html/template prints.
func render(t *testing.T, text string, state any) string {
	t.Helper()
	var b strings.Builder
	if err := template.Must(template.New("x").Parse(text)).Execute(&b, state); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dial opens a page's WebSocket by hand and says hello.
func dial(t *testing.T, b *livetest.Browser, h http.Handler, p *livetest.Page) *websocket.Conn {
	t.Helper()
	return dialWith(t, b, h, dataOf(p.HTML()).Token, dataOf(p.HTML()).Hash)
}

func dialWith(t *testing.T, b *livetest.Browser, h http.Handler, token, hash string) *websocket.Conn {
	t.Helper()
	synctest.Wait() // the hub has started
	ws, err := b.Dial(h, "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() }) // it has ended
	hello, err := json.Marshal(map[string]any{"v": 1, "t": token, "h": hash})
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Write(t.Context(), websocket.MessageText, hello); err != nil {
		t.Fatal(err)
	}
	return ws
}

// remounts tells whether the server answers a hello by mounting anew.
func remounts(t *testing.T, b *livetest.Browser, h http.Handler, token string) bool {
	t.Helper()
	ws := dialWith(t, b, h, token, "")
	_, frame, err := ws.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.CloseNow(); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(frame), `"re":1`)
}

// dialFrom returns the status of an upgrade that comes from an origin.
func dialFrom(t *testing.T, h http.Handler, origin string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://live.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin,
	} {
		r.Header.Set(k, v)
	}
	return livetest.NewBrowser(t).Status(h, r)
}

// flakyStates is a store whose StateStore fails at will.
type flakyStates struct {
	store
	mu   sync.Mutex
	lose int
	away bool
}

var errAway = errors.New("store away")

func (f *flakyStates) loseAnswers(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = n
}

func (f *flakyStates) down(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *flakyStates) Commit(ctx context.Context, c push.Commit) (push.CommitResult, error) {
	f.mu.Lock()
	away, lose := f.away, f.lose > 0
	if lose {
		f.lose--
	}
	f.mu.Unlock()
	if away {
		return push.CommitResult{}, errAway
	}
	res, err := f.store.Commit(ctx, c)
	if lose {
		return push.CommitResult{}, errAway
	}
	return res, err
}

func (f *flakyStates) TakeConn(ctx context.Context, session, conn string, ttl time.Duration) (push.ConnRecord, error) {
	f.mu.Lock()
	away := f.away
	f.mu.Unlock()
	if away {
		return push.ConnRecord{}, errAway
	}
	return f.store.TakeConn(ctx, session, conn, ttl)
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
