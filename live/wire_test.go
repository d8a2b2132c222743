package live_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func readString(res *http.Response) string {
	b, err := io.ReadAll(res.Body)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// pageData is the data-live attribute of a page.
type pageData struct{ Token, Hash, Manifest, View string }

func dataOf(page string) pageData {
	_, rest, _ := strings.Cut(page, `data-live="`)
	text, _, _ := strings.Cut(rest, `"`)
	var d pageData
	if err := json.Unmarshal([]byte(html.UnescapeString(text)), &d); err != nil {
		panic(err)
	}
	return d
}

// connect opens the WebSocket of a page and says hello.
func connect(ctx context.Context, address string, cookie *http.Cookie, page string) *websocket.Conn {
	header := http.Header{}
	if cookie != nil {
		header.Set("Cookie", cookie.Name+"="+cookie.Value)
	}
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(address, "http"), &websocket.DialOptions{HTTPHeader: header}) //nolint:bodyclose // Dial says: never
	if err != nil {
		panic(err)
	}
	d := dataOf(page)
	hello, err := json.Marshal(map[string]any{"v": 1, "t": d.Token, "h": d.Hash, "f": d.Manifest})
	if err != nil {
		panic(err)
	}
	if err := ws.Write(ctx, websocket.MessageText, hello); err != nil {
		panic(err)
	}
	return ws
}

// connOf returns the connection that a token names.
func connOf(t *testing.T, token string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	conn, _, _ := strings.Cut(string(b), ".")
	return conn
}
