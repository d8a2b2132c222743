package livetest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/html"

	"lastmile/live/internal/engine/model"
)

// Page is a live page in a browser with JavaScript. Its methods fail the test
// when what they wait for does not come within 30 seconds, by the bubble's
// clock if there is one. It is safe for concurrent use.
type Page struct {
	t       testing.TB
	browser *Browser
	history history

	mu       sync.Mutex
	handler  http.Handler
	document string
	config   config
	model    *model.Client
	manifest string
	socket   *socket
	changed  chan struct{} // closed and replaced at each change
	outbox   []message
	number   uint64
	applied  uint64 // last frame of the connection
	last     uint64 // last frame that reached the page, on any connection
	shown    bool   // the model has the page
	settled  map[uint64]*Error
	state    PageState
	muted    bool
}

// PageState is what a page has seen besides its content.
type PageState struct {
	// Title is the document's title.
	Title string
	// Frames is how many frames came, Snapshots how many of them held the
	// whole page, Patches how many held a patch, Bytes their size.
	Frames, Snapshots, Patches, Bytes int
	// Hydrated says that the last connection began without a snapshot.
	Hydrated bool
	// Mounts counts the connections that the server mounted anew.
	Mounts int
	// Flashes are all messages, as kind and text.
	Flashes [][2]string
	// Events are all events, as name and detail.
	Events []Event
	// Errors are all errors, those of actions included.
	Errors []Error
	// Location is where the server sent the browser last, or "", and Locations
	// is all of it.
	Location  string
	Locations []string
	// Closed is the code of the last connection's end, or 0 while it lasts.
	Closed websocket.StatusCode
}

// Event is an event for the page's own scripts.
type Event struct {
	Name   string
	Detail json.RawMessage
}

// Error is an error that the server reported to the page.
type Error struct {
	Code    string `json:"c"`
	Message string `json:"m"`
	Number  uint64 `json:"i"`
	Action  string `json:"a"`
}

// config is the container's data-live attribute.
type config struct {
	Token    string `json:"token"`
	Hash     string `json:"hash"`
	Manifest string `json:"manifest"`
}

// Open loads a page, connects its WebSocket, and waits for the first frame.
func (b *Browser) Open(h http.Handler, path string) *Page {
	b.t.Helper()
	p := b.Load(h, path)
	p.Connect(h)
	return p
}

// Load loads a page and leaves it unconnected, as if its script were still
// under way.
func (b *Browser) Load(h http.Handler, path string) *Page {
	b.t.Helper()
	p := &Page{t: b.t, browser: b, history: history{entries: []string{path}}, handler: h, changed: make(chan struct{}), settled: map[uint64]*Error{}}
	p.reload(h)
	b.t.Cleanup(p.Drop)
	return p
}

// maxRedirects bounds the redirects that a page may begin with.
const maxRedirects = 10

// reload loads the document, and forgets what the page was before.
func (p *Page) reload(h http.Handler) {
	p.t.Helper()
	if d, container := p.ask(h); !p.begin(d, container) {
		p.t.Fatalf("livetest: GET %s: status %d, no live container in:\n%s", p.history.at(), d.Status, d.HTML)
	}
}

// ask gets the document at the page's address.
func (p *Page) ask(h http.Handler) (d *Document, container *html.Node) {
	p.t.Helper()
	d = p.browser.get(h, p.history.at())
	for range maxRedirects { // to another address of its own
		to := d.Header.Get("Location")
		if d.Status != http.StatusSeeOther || !p.history.replace(to) {
			break
		}
		d = p.browser.get(h, to)
	}
	return d, find(d.root, parseSelector("#live"))
}

// begin makes the document the page, if it is a live one.
func (p *Page) begin(d *Document, container *html.Node) bool {
	p.t.Helper()
	if container == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	data, _ := attr(container, "data-live")
	p.config = config{}
	if err := json.Unmarshal([]byte(data), &p.config); err != nil {
		p.t.Fatalf("livetest: GET %s: data-live: %v", p.history.at(), err)
	}
	p.document, p.shown, p.outbox, p.number, p.last = d.HTML, false, nil, 0, 0
	if title := find(d.root, parseSelector("title")); title != nil && title.FirstChild != nil {
		p.state.Title = title.FirstChild.Data
	}
	return true
}

// elsewhere notes where the document at the page's address sends the browser.
func (p *Page) elsewhere(d *Document) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Location = d.Header.Get("Location")
	p.state.Locations = append(p.state.Locations, p.state.Location)
}

// State returns what the page has seen.
func (p *Page) State() PageState {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state
	s.Flashes = append([][2]string(nil), s.Flashes...)
	s.Events = append([]Event(nil), s.Events...)
	s.Errors = append([]Error(nil), s.Errors...)
	s.Locations = append([]string(nil), s.Locations...)
	return s
}

// HTML returns the page's content.
func (p *Page) HTML() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.html()
}

func (p *Page) html() string {
	if p.shown {
		return p.model.HTML()
	}
	return p.document
}

// Text returns what a reader sees, with white space folded.
func (p *Page) Text() string { return text(parse(p.HTML())) }

// TextOf returns the text of the first element that the selector matches.
func (p *Page) TextOf(sel string) string {
	p.t.Helper()
	n := find(parse(p.HTML()), parseSelector(sel))
	if n == nil {
		p.t.Fatalf("livetest: no element %s in:\n%s", sel, p.HTML())
	}
	return text(n)
}

// Has reports whether an element matches the selector; see Document.Has.
func (p *Page) Has(sel string) bool { return find(parse(p.HTML()), parseSelector(sel)) != nil }

// Wait waits until ok is true; it is asked after each frame.
func (p *Page) Wait(what string, ok func() bool) {
	p.t.Helper()
	timer := time.NewTimer(waitLimit)
	defer timer.Stop()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			p.t.Fatalf("livetest: waited %s for %s; the page shows:\n%s\nand has seen %+v", waitLimit, what, p.Text(), p.State())
		}
	}
}

// WaitText waits until the page's text contains part.
func (p *Page) WaitText(part string) {
	p.t.Helper()
	p.Wait("the text "+part, func() bool { return strings.Contains(p.Text(), part) })
}

// WaitClosed waits until the connection has ended, and returns its close code.
func (p *Page) WaitClosed() websocket.StatusCode {
	p.t.Helper()
	p.Wait("the connection's end", func() bool { return p.State().Closed != 0 })
	return p.State().Closed
}

// Send sends an action and does not wait. It returns the message's number for
// Answer. A message sent while the page is not connected goes out when it is.
func (p *Page) Send(action string, data map[string]any) uint64 {
	p.mu.Lock()
	p.number++
	s := p.socket
	if s != nil && p.state.Frames == s.before {
		s = nil // the first frame sends it
	}
	m := message{Action: action, Data: data, Number: p.number, sent: s != nil}
	p.outbox = append(p.outbox, m)
	p.mu.Unlock()
	if s != nil {
		s.send(m)
	}
	return m.Number
}

// Answer waits for the answer to a message, and returns its error or nil.
func (p *Page) Answer(number uint64) *Error {
	p.t.Helper()
	var result *Error
	p.Wait("the answer to an action", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		e, ok := p.settled[number]
		result = e
		return ok
	})
	return result
}

// Settled reports whether a message has its answer.
func (p *Page) Settled(number uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.settled[number]
	return ok
}

// Try sends an action, waits for its answer, and returns its error or nil.
func (p *Page) Try(action string, data map[string]any) *Error {
	p.t.Helper()
	return p.Answer(p.Send(action, data))
}

// Click clicks the element that the selector matches: it runs its live-click
// action with its live-value attributes, or submits its form. In place of a
// selector the name of an action may stand. data is added. It waits for the
// answer and fails the test on an error.
func (p *Page) Click(target string, data map[string]any) {
	p.t.Helper()
	action, all := target, map[string]any{}
	if target == "" || target[0] < 'A' || target[0] > 'Z' {
		action, all = p.aim(target)
	}
	maps.Copy(all, data)
	if err := p.Try(action, all); err != nil {
		p.t.Fatalf("livetest: click %s: %s: %s", target, err.Code, err.Message)
	}
}

// Submit submits the form that the selector matches, or whose button it does.
func (p *Page) Submit(target string, data map[string]any) {
	p.t.Helper()
	p.Click(target, data)
}

// aim finds the action of an element.
func (p *Page) aim(sel string) (string, map[string]any) {
	p.t.Helper()
	n := find(parse(p.HTML()), parseSelector(sel))
	if n == nil {
		p.t.Fatalf("livetest: no element %s in:\n%s", sel, p.HTML())
	}
	if el := closest(n, hasAttr("live-click")); el != nil {
		action, _ := attr(el, "live-click")
		return action, values(el)
	}
	form := closest(n, func(n *html.Node) bool { return n.Data == "form" })
	if form == nil {
		p.t.Fatalf("livetest: element %s has no live-click and no form", sel)
	}
	data := fields(form)
	maps.Copy(data, values(form))
	maps.Copy(data, values(n))
	action, _ := data["live-action"].(string)
	if name, _ := attr(n, "name"); name == "live-action" {
		action, _ = attr(n, "value")
	} else if name != "" && n.Data == "button" {
		data[name], _ = attr(n, "value")
	}
	if action == "" {
		if button := find(form, parseSelector("button[name=live-action]")); button != nil {
			action, _ = attr(button, "value")
		}
	}
	delete(data, "live-action")
	if action == "" {
		p.t.Fatalf("livetest: the form of %s names no live-action", sel)
	}
	return action, data
}

// Mute makes the page stop confirming frames, as a browser that does not get
// around to rendering.
func (p *Page) Mute(muted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = muted
}

// Drop cuts the connection, as a network does.
func (p *Page) Drop() { p.leave(func(s *socket) { s.ws.Cut() }) }

// Close leaves the page, as a user does.
func (p *Page) Close() { p.leave(func(s *socket) { s.ws.Leave() }) }

func (p *Page) leave(end func(*socket)) {
	p.mu.Lock()
	s := p.socket
	p.socket = nil
	p.mu.Unlock()
	if s != nil {
		end(s)
		<-s.done
	}
}

// Reconnect drops the connection if there is one, and connects to h, another
// node perhaps. What was sent and not answered is sent again.
func (p *Page) Reconnect(h http.Handler) {
	p.t.Helper()
	p.Drop()
	p.Connect(h)
}

// load fetches a manifest.
func (p *Page) load(ctx context.Context, h http.Handler, fingerprint string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+resolve(p.history.at(), "?_live=manifest."+fingerprint+".json"), nil)
	if err != nil {
		return err
	}
	res, body := p.browser.Do(h, r) //nolint:bodyclose // Do closes it
	if res.StatusCode != http.StatusOK {
		return errors.New("livetest: manifest: status " + res.Status)
	}
	m, err := model.New([]byte(body))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.model, p.manifest, p.shown = m, fingerprint, false
	return nil
}
