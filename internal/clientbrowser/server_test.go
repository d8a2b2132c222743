package clientbrowser_test

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lastmile/internal/patience"
	"lastmile/live/client"
)

// obj is a JSON object, as a frame or the data of an action.
type obj = map[string]any

// message is what a client sent.
type message struct {
	V    int     `json:"v"`
	T    *string `json:"t"`
	H    string  `json:"h"`
	F    string  `json:"f"`
	S    int     `json:"s"`
	A    string  `json:"a"`
	D    obj     `json:"d"`
	I    int     `json:"i"`
	K    int     `json:"k"`
	Q    int     `json:"q"`
	text string
}

// server plays Lastmile's part of the wire protocol, line by line as a test
// scripts it. It keeps its address over stop and start.
type server struct {
	t         testing.TB
	addr      string
	raw       string // the content with its marks
	policy    string // Content-Security-Policy
	content   string // inside the container
	layout    string // beside the container
	extra     string // behind the client's script
	config    obj
	manifests map[string]string
	mux       *http.ServeMux
	conns     chan *conn

	mu     sync.Mutex
	http   *http.Server
	open   []*conn
	hits   map[string]int
	silent bool
	// refusal answers WebSockets, instead the page. See refuse.
	refusal int
	instead http.HandlerFunc
	wg      sync.WaitGroup
}

func newServer(t testing.TB, content string, options ...func(*server)) *server {
	t.Helper()
	s := &server{
		t:         t,
		addr:      "127.0.0.1:0",
		raw:       content,
		content:   rendered(content, "0"),
		manifests: map[string]string{"m1": manifest(content)},
		config:    obj{"view": "test", "token": "token-1", "hash": "cafe", "manifest": "m1"},
		mux:       http.NewServeMux(),
		conns:     make(chan *conn, 64),
		hits:      make(map[string]int),
	}
	for _, set := range options {
		set(s)
	}
	s.mux.HandleFunc("/page", s.page)
	s.mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) {
		s.hit(r)
		fmt.Fprint(w, `<!doctype html><title>other</title><p>other</p>`)
	})
	s.start()
	t.Cleanup(s.stop)
	return s
}

// configured changes a setting in the page's data-live.
func configured(name string, value any) func(*server) {
	return func(s *server) { s.config[name] = value }
}

func (s *server) url() string { return "http://" + s.addr + "/page" }

// start listens, after the first time on the same port.
func (s *server) start() {
	s.t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatalf("listen: %v", err)
	}
	s.addr = ln.Addr().String()
	s.mu.Lock()
	defer s.mu.Unlock()
	srv := &http.Server{Handler: s.mux, ReadHeaderTimeout: time.Minute}
	s.http = srv
	s.wg.Go(func() { _ = srv.Serve(ln) }) // ends with stop
}

// stop dies as a killed process does: no close frames, no answers.
func (s *server) stop() {
	s.mu.Lock()
	_ = s.http.Close()
	for _, c := range s.open {
		_ = c.ws.CloseNow()
	}
	s.open = nil
	s.mu.Unlock()
	s.wg.Wait()
}

// mute stops answering heartbeats, on connections to come and those there are:
// the far end of a half-open socket.
func (s *server) mute(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

func (s *server) muted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent
}

func (s *server) hit(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits[r.Method+" "+r.URL.RequestURI()]++
}

// count tells how often a request came: "GET /page".
func (s *server) count(request string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits[request]
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	refusal, instead := s.refusing()
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		if refusal != 0 {
			w.WriteHeader(refusal)
			return
		}
		s.socket(w, r)
		return
	}
	s.hit(r)
	asset := r.URL.Query().Get("_live")
	switch {
	case asset == "" && instead != nil:
		instead(w, r)
	case asset == "client.js":
		_, body := client.Script()
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(body)
	case asset == "disable.js":
		_, body := client.Disable()
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(body)
	case strings.HasPrefix(asset, "manifest."):
		manifest, ok := s.manifests[strings.TrimSuffix(strings.TrimPrefix(asset, "manifest."), ".json")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, manifest)
	default:
		config, _ := json.Marshal(s.config)
		disable := ""
		if strings.Contains(s.raw+s.layout, "live-disable") {
			disable = `<script type="module" src="?_live=disable.js"></script>`
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if s.policy != "" {
			w.Header().Set("Content-Security-Policy", s.policy)
		}
		fmt.Fprintf(w, `<!doctype html><html lang=en><title>first</title><link rel=icon href=data:>
<main><div id="live" data-live="%s">%s</div>%s</main>
<script src="?_live=client.js" defer></script>%s<script type="module">%s</script>`,
			html.EscapeString(string(config)), s.content, s.layout, disable, s.extra)
	}
}

// conn is the server's end of one WebSocket.
type conn struct {
	t     testing.TB
	ws    *websocket.Conn
	hello message
	in    chan message
	gone  chan struct{}
	code  websocket.StatusCode // valid once gone is closed
	seq   int
}

func (s *server) socket(w http.ResponseWriter, r *http.Request) {
	s.wg.Add(1)
	defer s.wg.Done()
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(64 << 10) // the real server's
	c := &conn{t: s.t, ws: ws, in: make(chan message, 1024), gone: make(chan struct{})}
	defer close(c.gone)
	s.mu.Lock()
	s.open = append(s.open, c)
	s.mu.Unlock()
	first := true
	for {
		_, text, err := ws.Read(r.Context())
		if err != nil {
			c.code = websocket.CloseStatus(err)
			return
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			return
		}
		m.text = string(text)
		switch {
		case first:
			c.hello, first = m, false
			s.conns <- c
		default:
			if m.text == "{}" && !s.muted() {
				_ = ws.Write(r.Context(), websocket.MessageText, text)
			}
			c.in <- m
		}
	}
}

// accept returns the next connection, its hello read.
func (s *server) accept() *conn {
	s.t.Helper()
	select {
	case c := <-s.conns:
		return c
	case <-time.After(patience.Limit):
		s.t.Fatal("no connection came")
		return nil
	}
}

// join accepts the next connection and answers its hello.
func (s *server) join(reply ...obj) *conn {
	s.t.Helper()
	c := s.accept()
	c.welcome(reply...)
	return c
}

func (c *conn) welcome(reply ...obj) {
	c.t.Helper()
	frame := obj{"v": 1}
	for _, r := range reply {
		maps.Copy(frame, r)
	}
	c.send(frame)
}

// send sends a frame, with the next sequence number unless it has its own.
func (c *conn) send(frame obj) {
	c.t.Helper()
	if s, ok := frame["s"].(int); ok {
		c.seq = s
	} else {
		c.seq++
		frame["s"] = c.seq
	}
	text, err := json.Marshal(frame)
	if err != nil {
		c.t.Fatalf("marshal frame: %v", err)
	}
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, text); err != nil {
		c.t.Fatalf("send %s: %v", text, err)
	}
}

// wait returns the next message that matches and drops those before it.
func (c *conn) wait(what string, match func(message) bool) message {
	c.t.Helper()
	timeout := time.After(patience.Limit)
	for {
		select {
		case m := <-c.in:
			if match(m) {
				return m
			}
		case <-c.gone:
			c.t.Fatalf("the connection ended (code %d) before %s came", c.code, what)
		case <-timeout:
			c.t.Fatalf("%s did not come", what)
		}
	}
}

func (c *conn) action() message {
	c.t.Helper()
	return c.wait("an action", func(m message) bool { return m.A != "" })
}

func (c *conn) acked(s int) {
	c.t.Helper()
	c.wait(fmt.Sprintf("ack %d", s), func(m message) bool { return m.K >= s })
}

// closeWith starts the close handshake; ended tells when it is over.
func (c *conn) closeWith(code websocket.StatusCode, reason string) {
	go func() { _ = c.ws.Close(code, reason) }()
}

// ended waits until the client has let the connection go, and returns the code.
func (c *conn) ended() websocket.StatusCode {
	c.t.Helper()
	select {
	case <-c.gone:
		return c.code
	case <-time.After(patience.Limit):
		c.t.Fatal("the connection stays open")
		return 0
	}
}
