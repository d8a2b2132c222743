// Package wsclient speaks the wire protocol from Go, for tests with more
// connections than browsers could be started for. It understands pages whose
// template has exactly one unit, a run of text in an element with id "log". It is
// no general client: package model has the whole format. Only tests and
// benchmarks of internal/ use it.
package wsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/time/rate"
)

// Config tells a Page what to do.
type Config struct {
	// Client holds the session's cookie.
	Client *http.Client
	// URL is the page's.
	URL string
	// Heartbeat is how long the server may be silent, at first. Defaults to 5
	// seconds.
	Heartbeat time.Duration
	// Show is called with the page's text whenever it may have changed, from
	// one goroutine. mount counts how often the page was mounted anew: the
	// text of another mount need not continue the one before.
	Show func(mount int, text string)
	// Got is called with each message as it comes off the wire, before Show.
	Got func(message []byte)
	// Unpaced sends each click at once, for a server without a limit on them.
	Unpaced bool
}

// Stats counts what happened to a Page.
type Stats struct {
	// Connects counts accepted connections, the first included.
	Connects int
	// Remounts counts connections that the server could not resume.
	Remounts int
	// Frames counts patches and snapshots.
	Frames int
	// Down is the longest time without a connection.
	Down time.Duration
	// Errors are what the server refused or could not do.
	Errors []Error
}

// Error is what the server says of a click, or of the page.
type Error struct {
	Code   string `json:"c"`
	Text   string `json:"m"`
	Number int    `json:"i"`
	Action string `json:"a"`
}

// Page is one tab: it loads the HTML, connects, acknowledges what it has
// rendered, and reconnects for ever. Its methods are safe for concurrent use.
type Page struct {
	cfg Config

	mu      sync.Mutex
	live    liveConfig
	text    string
	applied int // last frame that reached the text, on any connection
	stats   Stats
	lost    time.Time // when the connection was lost
	number  int
	waiting map[int]message // sent or to be sent, not answered
	wake    chan struct{}   // cap 1: there is something to send
	pace    *rate.Limiter   // of clicks
	slack   atomic.Int32    // how often the deadlines have doubled
	stalled atomic.Int64    // unix nanoseconds until which nothing is read
}

// liveConfig is the page's data-live attribute.
type liveConfig struct {
	Token    string `json:"token"`
	Hash     string `json:"hash"`
	Manifest string `json:"manifest"`
}

// Open loads the page's HTML. Run connects it.
func Open(ctx context.Context, cfg Config) (*Page, error) {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 5 * time.Second
	}
	if cfg.Show == nil {
		cfg.Show = func(int, string) {}
	}
	if cfg.Got == nil {
		cfg.Got = func([]byte) {}
	}
	pace := rate.Limit(perSecond)
	if cfg.Unpaced {
		pace = rate.Inf
	}
	p := &Page{cfg: cfg, waiting: map[int]message{}, wake: make(chan struct{}, 1), pace: rate.NewLimiter(pace, burst)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("wsclient: %w", err)
	}
	res, err := cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("wsclient: load page: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("wsclient: load page: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("wsclient: load page: status %d: %s", res.StatusCode, body)
	}
	if err := p.parse(string(body)); err != nil {
		return nil, err
	}
	p.cfg.Show(0, p.text)
	return p, nil
}

func (p *Page) parse(body string) error {
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("wsclient: parse page: %w", err)
	}
	found := 0
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			switch {
			case a.Key == "data-live":
				if err := json.Unmarshal([]byte(a.Val), &p.live); err != nil {
					return fmt.Errorf("wsclient: data-live: %w", err)
				}
				found++
			case a.Key == "id" && a.Val == "log":
				p.text = textOf(n)
				found++
			}
		}
	}
	if found != 2 || p.live.Token == "" {
		return errors.New("wsclient: the page has no data-live or no #log:\n" + body)
	}
	return nil
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// Text returns what the page shows.
func (p *Page) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// Stats returns what happened so far.
func (p *Page) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Stall leaves what the server sends unread for a while. All else goes on.
func (p *Page) Stall(d time.Duration) { p.stalled.Store(time.Now().Add(d).UnixNano()) }

// awaitStall waits until a stall is over, or ctx.
func (p *Page) awaitStall(ctx context.Context) {
	for {
		left := time.Until(time.Unix(0, p.stalled.Load()))
		if left <= 0 || ctx.Err() != nil {
			return
		}
		timer := time.NewTimer(min(left, 100*time.Millisecond))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Click sends an action. It is repeated after a reconnect until the server has
// answered it.
func (p *Page) Click(action string, data map[string]any) {
	p.mu.Lock()
	p.number++
	p.waiting[p.number] = message{Action: action, Data: data, Number: p.number}
	p.mu.Unlock()
	p.nudge()
}

// Waiting returns how many clicks are unanswered.
func (p *Page) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

func (p *Page) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
