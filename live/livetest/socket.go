package livetest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// message is what the page sends.
type message struct {
	Version  int            `json:"v,omitempty"`
	Token    string         `json:"t,omitempty"`
	Hash     string         `json:"h,omitempty"`
	Manifest string         `json:"f,omitempty"`
	Last     uint64         `json:"s,omitempty"`
	Action   string         `json:"a,omitempty"`
	Data     map[string]any `json:"d,omitempty"`
	Number   uint64         `json:"i,omitempty"`
	Ack      uint64         `json:"k,omitempty"`
	Snapshot int            `json:"q,omitempty"`

	sent bool
}

// frame is what the server sends.
type frame struct {
	Version   int                  `json:"v"`
	Seq       uint64               `json:"s"`
	Token     string               `json:"t"`
	Remounted int                  `json:"re"`
	Manifest  string               `json:"f"`
	Patch     json.RawMessage      `json:"p"`
	Snapshot  json.RawMessage      `json:"r"`
	Title     *string              `json:"title"`
	Events    [][2]json.RawMessage `json:"e"`
	Flashes   [][2]string          `json:"fl"`
	Reply     uint64               `json:"i"`
	Error     *Error               `json:"x"`
	Navigate  *struct {
		URL string `json:"u"`
	} `json:"n"`
}

// socket is one connection of a page.
type socket struct {
	page    *Page
	handler http.Handler
	ws      link
	out     chan message
	done    chan struct{}
	before  int  // frames that the page had seen before
	hashed  bool // the hello said that the document is untouched
}

// Dial opens a WebSocket at a path and leaves the protocol to the caller.
func (b *Browser) Dial(h http.Handler, path string) (*websocket.Conn, error) {
	ctx := context.WithoutCancel(b.t.Context())
	ws, _, err := websocket.Dial(ctx, "ws"+origin[4:]+path, &websocket.DialOptions{ //nolint:bodyclose // Dial says: never
		HTTPClient: &http.Client{Transport: transport{h}, Jar: b.jar},
		HTTPHeader: http.Header{"Origin": {origin}},
	})
	return ws, err
}

// Status sends a request and returns the status of the answer. A connection
// that the handler takes over is dropped.
func (b *Browser) Status(h http.Handler, r *http.Request) int {
	b.t.Helper()
	res, err := (&http.Client{Transport: transport{h}, Jar: b.jar}).Do(r) //nolint:gosec // it stays in this process
	if err != nil {
		b.t.Fatalf("livetest: %s %s: %v", r.Method, r.URL, err)
	}
	if err := res.Body.Close(); err != nil {
		b.t.Fatalf("livetest: %s %s: %v", r.Method, r.URL, err)
	}
	return res.StatusCode
}

// connectAgain is how long Connect waits after a refusal.
const connectAgain = 20 * time.Millisecond

// closeIdentity is the close code of a connection whose browser is somebody else
// now: the page is loaded again.
const closeIdentity websocket.StatusCode = 4004

// Connect opens the page's WebSocket at h and waits for the first frame. When the
// server says that the page is another user's, it loads it again first, as the
// script does; where that is answered with a redirect, PageState.Location has it.
func (p *Page) Connect(h http.Handler) {
	p.t.Helper()
	if p.connect(h) == closeIdentity {
		d, container := p.ask(h)
		if container == nil && d.Header.Get("Location") != "" {
			p.elsewhere(d)
			return
		}
		if !p.begin(d, container) {
			p.t.Fatalf("livetest: GET %s: status %d, no live container in:\n%s", p.history.at(), d.Status, d.HTML)
		}
		p.connect(h)
	}
	if code := p.State().Closed; code != 0 {
		p.t.Fatalf("livetest: connect %s: closed with %d", p.history.at(), code)
	}
}

// connect returns the close code of a connection that got no further, or 0.
func (p *Page) connect(h http.Handler) websocket.StatusCode {
	p.t.Helper()
	for deadline := time.Now().Add(waitLimit); ; {
		err := p.TryConnect(h)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("livetest: connect %s: %v", p.history.at(), err)
		}
		<-time.After(connectAgain) // a hub that is starting refuses
	}
	p.Wait("the first frame", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.state.Closed != 0 || (p.socket != nil && p.state.Snapshots > 0)
	})
	return p.State().Closed
}

// TryConnect opens the page's connection and does not wait for an answer.
func (p *Page) TryConnect(h http.Handler) error {
	p.t.Helper()
	ctx := context.WithoutCancel(p.t.Context()) // a page outlives the test's context by its cleanup
	p.mu.Lock()
	hello := message{Version: 1, Token: p.config.Token, Hash: p.config.Hash, Manifest: p.config.Manifest, Last: p.last, Number: p.number + 1}
	if p.manifest != "" {
		hello.Manifest = p.manifest
	}
	p.mu.Unlock()
	first, err := json.Marshal(hello)
	if err != nil {
		return err
	}
	dial := p.dialSocket
	if p.browser.lanes {
		dial = p.dialLane
	}
	ws, err := dial(ctx, h, first)
	if err != nil {
		return err
	}
	s := &socket{page: p, handler: h, ws: ws, out: make(chan message, 1024), done: make(chan struct{}), hashed: hello.Hash != ""}
	p.mu.Lock()
	p.handler, p.socket, s.before = h, s, p.state.Frames
	p.state.Closed, p.state.Snapshots = 0, 0
	p.applied = 0
	p.config.Hash = "" // true only until the first frame
	p.mu.Unlock()
	go s.run(ctx)
	return nil
}

// dialSocket opens a WebSocket and says hello.
func (p *Page) dialSocket(ctx context.Context, h http.Handler, hello []byte) (link, error) {
	ws, err := p.browser.Dial(h, p.history.at()) //nolint:contextcheck // it is the test's
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(16 << 20)
	if err := ws.Write(ctx, websocket.MessageText, hello); err != nil {
		_ = ws.CloseNow() // it is over
		return nil, err
	}
	return webSocket{ws}, nil
}

// run reads until the connection ends.
func (s *socket) run(ctx context.Context) {
	defer close(s.done)
	writing := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(writing)
		s.write(ctx, stop)
	}()
	var err error
	for err == nil {
		var b []byte
		if b, err = s.ws.Read(ctx); err == nil {
			err = s.receive(ctx, b)
		}
	}
	close(stop)
	s.ws.Cut() // it has ended
	<-writing
	p := s.page
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Closed = websocket.CloseStatus(err); p.state.Closed < 0 {
		p.state.Closed = websocket.StatusAbnormalClosure
	}
	if p.socket == s {
		p.socket = nil
	}
	p.announce()
}

func (s *socket) write(ctx context.Context, stop <-chan struct{}) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var m message
		select {
		case m = <-s.out:
		case <-beat.C:
		case <-stop:
			return
		}
		b, err := json.Marshal(m)
		if err == nil {
			err = s.ws.Write(ctx, b)
		}
		if err != nil {
			return
		}
	}
}

// heartbeat is how often an idle page shows that it lives.
const heartbeat = 25 * time.Second

// send queues a message; a connection that has ended takes none.
func (s *socket) send(m message) {
	select {
	case s.out <- m:
	case <-s.done:
	}
}

// receive applies a frame.
func (s *socket) receive(ctx context.Context, b []byte) error {
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		s.page.t.Errorf("livetest: frame is not JSON: %v: %s", err, b)
		return err
	}
	if f.Seq == 0 {
		return nil // the answer to a heartbeat
	}
	p := s.page
	p.mu.Lock()
	want := p.manifest
	if want == "" {
		want = p.config.Manifest
	}
	p.mu.Unlock()
	if f.Manifest != "" {
		want = f.Manifest
	}
	if p.model == nil || want != p.manifest {
		if err := p.load(ctx, s.handler, want); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Frames++
	p.state.Bytes += len(b)
	if f.Seq != p.applied+1 && f.Version == 0 {
		p.t.Errorf("livetest: frame %d after %d", f.Seq, p.applied)
	}
	p.applied, p.last = f.Seq, f.Seq
	if f.Version != 0 {
		s.welcome(&f)
	}
	err := p.render(&f)
	p.note(&f)
	if !p.muted {
		s.send(message{Ack: f.Seq})
	}
	p.announce()
	return err
}

// welcome handles the first frame: the page's lock is held.
func (s *socket) welcome(f *frame) {
	p := s.page
	p.state.Hydrated = f.Snapshot == nil && s.hashed
	if f.Snapshot == nil {
		s.send(message{Snapshot: 1}) // the model cannot adopt HTML
	}
	if f.Token != "" {
		p.config.Token = f.Token
	}
	p.settle(f.Reply)
	if f.Remounted != 0 {
		p.state.Mounts++
	}
	if f.Remounted != 0 {
		p.forget()
	}
	for i := range p.outbox {
		p.outbox[i].sent = true
		s.send(p.outbox[i])
	}
}

// forget gives up the messages whose fate a page mounted anew cannot tell: the
// lock is held.
func (p *Page) forget() {
	p.outbox = slices.DeleteFunc(p.outbox, func(m message) bool {
		if m.sent {
			p.settled[m.Number] = &Error{Code: "lost", Number: m.Number, Action: m.Action}
		}
		return m.sent
	})
}

// render applies a frame's content: the lock is held.
func (p *Page) render(f *frame) error {
	switch {
	case f.Snapshot != nil:
		p.state.Snapshots++
		if err := p.model.Snapshot(f.Snapshot); err != nil {
			p.t.Errorf("livetest: snapshot: %v: %s", err, f.Snapshot)
			return err
		}
		p.shown = true
	case f.Patch != nil:
		p.state.Patches++
		if p.state.Snapshots == 0 {
			return nil // the snapshot that was asked for has it
		}
		if err := p.model.Patch(f.Patch); err != nil {
			p.t.Errorf("livetest: patch: %v: %s", err, f.Patch)
			return err
		}
	}
	return nil
}

// note keeps what a frame says besides its content: the lock is held.
func (p *Page) note(f *frame) {
	if f.Title != nil {
		p.state.Title = *f.Title
	}
	p.state.Flashes = append(p.state.Flashes, f.Flashes...)
	for _, e := range f.Events {
		var name string
		if err := json.Unmarshal(e[0], &name); err != nil {
			p.t.Errorf("livetest: event name: %v", err)
		}
		if name == "live:address" {
			p.history.patch(e[1])
			continue
		}
		p.state.Events = append(p.state.Events, Event{name, e[1]})
	}
	if f.Navigate != nil {
		p.state.Location = f.Navigate.URL
		p.state.Locations = append(p.state.Locations, f.Navigate.URL)
	}
	p.settle(f.Reply)
	if f.Error != nil {
		p.state.Errors = append(p.state.Errors, *f.Error)
		if n := f.Error.Number; n != 0 {
			p.settled[n] = f.Error
			p.outbox = slices.DeleteFunc(p.outbox, func(m message) bool { return m.Number == n })
		}
	}
}

// settle notes that messages up to number are answered: the lock is held.
func (p *Page) settle(number uint64) {
	p.outbox = slices.DeleteFunc(p.outbox, func(m message) bool {
		if m.Number > number {
			return false
		}
		p.settled[m.Number] = nil
		return true
	})
}

// announce wakes those who wait: the lock is held.
func (p *Page) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}
