package livetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/coder/websocket"
)

// lane is a link without a WebSocket: frames come as events of one response,
// messages go by requests. The name is set before there are writers.
type lane struct {
	page   *Page
	name   string
	events *bufio.Reader
	body   io.Closer
	number atomic.Uint64  // of the last request
	nodes  []http.Handler // take the requests in turn
}

// dialLane opens a lane with the hello.
func (p *Page) dialLane(ctx context.Context, h http.Handler, hello []byte) (link, error) {
	ask := "?_live=lane"
	if _, query, _ := strings.Cut(p.history.at(), "?"); query != "" {
		ask += "&" + query // a page that is mounted anew reads it
	}
	res, err := p.browser.post(ctx, h, resolve(p.history.at(), ask), hello)
	if err != nil {
		return nil, err
	}
	l := &lane{page: p, events: bufio.NewReader(res.Body), body: res.Body, nodes: p.browser.nodes}
	if len(l.nodes) == 0 {
		l.nodes = []http.Handler{h}
	}
	if res.StatusCode == http.StatusOK {
		var kind, data string
		if kind, data, err = l.event(); err == nil && kind == "lane" {
			l.name = data
			return l, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("livetest: lane: status %d", res.StatusCode), err, res.Body.Close())
}

func (b *Browser) post(ctx context.Context, h http.Handler, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", origin)
	return (&http.Client{Transport: transport{h}, Jar: b.jar}).Do(r)
}

// event reads the next event.
func (l *lane) event() (kind, data string, err error) {
	for {
		line, err := l.events.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSuffix(line, "\n")
		switch name, value, _ := strings.Cut(line, ": "); {
		case line == "":
			return kind, data, nil
		case name == "event":
			kind = value
		case name == "data":
			data = value
		}
	}
}

// Read returns the next frame.
func (l *lane) Read(context.Context) ([]byte, error) {
	kind, data, err := l.event()
	if err == nil && kind == "close" {
		var end websocket.CloseError
		if err := json.Unmarshal([]byte(data), &end); err != nil {
			return nil, err
		}
		return nil, end
	}
	return []byte(data), err
}

// Write sends a message. A lane whose request has failed is given up.
func (l *lane) Write(ctx context.Context, b []byte) error {
	err := l.send(ctx, string(b), 0)
	if err != nil {
		l.Cut()
	}
	return err
}

func (l *lane) send(ctx context.Context, messages string, code websocket.StatusCode) error {
	n := l.number.Add(1)
	batch := fmt.Appendf(nil, `{"n":%d,"m":[%s],"c":%d}`, n, messages, code)
	node := l.nodes[n%uint64(len(l.nodes))]
	res, err := l.page.browser.post(ctx, node, resolve(l.page.history.at(), "?_live=send&l="+l.name), batch)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("livetest: lane: messages: status %d", res.StatusCode)
	}
	return nil
}

// Leave ends the lane as a user does.
func (l *lane) Leave() {
	ctx := context.WithoutCancel(l.page.t.Context())
	_ = l.send(ctx, "", websocket.StatusGoingAway) // gone either way
	l.Cut()
}

// Cut ends the lane as a network does.
func (l *lane) Cut() { _ = l.body.Close() } // it never fails
