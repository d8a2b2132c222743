package enginebrowser_test

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/mempush"
)

const matrixSession = "the session of the matrix"

const matrixTitle = `{{define "title"}}step {{.Step}}{{end}}`

// nextMatrixPage is the page after a deploy: other texts, other elements, in the
// list too. What scripts have put into an element is known as theirs only where
// live-ignore says so.
var nextMatrixPage = strings.NewReplacer(
	`<main class="`, `<header>New</header><main data-version="2" class="next `,
	`<h1>Count: {{.Count}}</h1>`, `<h1 class="big"><b>All</b> Count: {{.Count}}</h1>`,
	`<li data-key="{{.ID}}">`, `<li class="row" data-key="{{.ID}}">`,
).Replace(matrixPage)

var ignoringWidget = strings.NewReplacer(`id="widget"`, `id="widget" live-ignore`)

// matrixController changes the state as a push tells it.
type matrixController struct{}

func (matrixController) Change(s matrixState, ctx *live.Context) (matrixState, error) {
	for _, op := range matrixOps {
		if op.name == ctx.GetString("op") {
			s = op.apply(s)
		}
	}
	s.Step++
	return s, nil
}

type oneSession struct{}

func (oneSession) Identify(*http.Request) (live.Identity, error) {
	return live.Identity{Session: matrixSession}, nil
}

// matrixServer is a web process with the page of the matrix, and the network
// before it.
type matrixServer struct {
	t         *testing.T
	addr      string
	store     *mempush.Transport
	publisher *push.Publisher
	stop      func()

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

func newMatrixServer(t *testing.T) *matrixServer {
	t.Helper()
	s := &matrixServer{t: t, addr: "127.0.0.1:0", conns: make(map[net.Conn]bool)}
	var err error
	if s.store, err = mempush.New(mempush.Config{}); err != nil {
		t.Fatal(err)
	}
	if s.publisher, err = push.NewPublisher(s.store, push.PublisherConfig{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// start runs a process with a page, on the state that the last one has left.
func (s *matrixServer) start(t *testing.T, page string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	node, err := push.NewNode(s.store, push.NodeConfig{})
	must(err)
	hub, err := live.New(live.Deps{Node: node, Publisher: s.publisher, States: s.store, Broker: s.store},
		live.Config{
			Secret: []byte(strings.Repeat("a secret of all nodes, ", 2)), Authenticator: oneSession{}, Logger: slog.New(slog.DiscardHandler),
		})
	must(err)
	tmpl := template.Must(template.New("matrix").Parse(matrixTitle + page))
	view, err := live.NewView(hub, "matrix", matrixController{}, firstMatrixState(), tmpl, live.ViewConfig{})
	must(err)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", s.addr)
	must(err)
	s.addr = ln.Addr().String()
	srv := &http.Server{Handler: s.gate(view), ReadHeaderTimeout: time.Minute, ConnState: s.track}
	nodeCtx, stopNode := context.WithCancel(context.WithoutCancel(t.Context()))
	hubCtx, stopHub := context.WithCancel(nodeCtx)
	nodeDone, hubDone, httpDone := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { nodeDone <- node.Run(nodeCtx) }()
	go func() { hubDone <- hub.Run(hubCtx) }()
	go func() { httpDone <- srv.Serve(ln) }()
	s.stop = sync.OnceFunc(func() {
		stopHub()
		_ = srv.Close() // new tries find nobody
		if err := <-hubDone; err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-httpDone; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
		stopNode()
		if err := <-nodeDone; err != nil {
			t.Errorf("stop node: %v", err)
		}
	})
}

// gate lets no WebSocket through while the network is down.
func (s *matrixServer) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		shut := s.shut && r.Header.Get("Upgrade") != ""
		s.mu.Unlock()
		if shut {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *matrixServer) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != http.StateClosed { // of a hijacked one nobody tells the end
		s.conns[c] = true
	} else {
		delete(s.conns, c)
	}
}

// cut takes the network away: connections break without a word.
func (s *matrixServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *matrixServer) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = false
}

// change pushes an op to the session, whoever is connected.
func (s *matrixServer) change(op matrixOp) {
	s.t.Helper()
	if err := s.publisher.Session(matrixSession).TriggerAction("Change", map[string]any{"op": op.name}); err != nil {
		s.t.Fatal(err)
	}
}

// connect waits for the client to connect, by itself.
func (s *matrixServer) connect(ctx context.Context) {
	s.t.Helper()
	browser.WaitFor(ctx, s.t, `window.live?.connected`)
}

func (s *matrixServer) lose(ctx context.Context) {
	s.t.Helper()
	browser.WaitFor(ctx, s.t, `!live.connected`)
}

// matrixRoutes are the ways in which a change reaches a page whose user has
// acted before: each acts, loses the connection, and lets the server go on
// without it.
var matrixRoutes = []struct {
	name string
	edit func(page string) string // of the template, for both processes
	run  func(ctx context.Context, s *matrixServer, op matrixOp, act func())
}{
	{name: "before the first connection", run: func(ctx context.Context, s *matrixServer, op matrixOp, act func()) {
		act()
		s.change(op)
		s.mend()
		s.connect(ctx)
	}},
	{name: "cut", run: func(ctx context.Context, s *matrixServer, op matrixOp, act func()) {
		s.mend()
		s.connect(ctx)
		act()
		s.cut()
		s.lose(ctx)
		s.change(op)
		s.mend()
		s.connect(ctx)
	}},
	{name: "restart", run: func(ctx context.Context, s *matrixServer, op matrixOp, act func()) {
		s.mend()
		s.connect(ctx)
		act()
		s.stop()
		s.lose(ctx)
		s.change(op)
		s.start(s.t, matrixPage)
		s.connect(ctx)
	}},
	{name: "deploy", edit: ignoringWidget.Replace, run: func(ctx context.Context, s *matrixServer, op matrixOp, act func()) {
		s.mend()
		s.connect(ctx)
		act()
		s.stop()
		s.lose(ctx)
		s.change(op)
		s.start(s.t, ignoringWidget.Replace(nextMatrixPage))
		s.connect(ctx)
		browser.WaitFor(ctx, s.t, `document.querySelector("main").dataset.version === "2"`)
	}},
}

// TestBrowserStateAcrossReconnect runs the matrix with a real server and the
// whole client: the connection comes late, breaks, or ends with its process,
// the state changes meanwhile, and the client reconnects by itself.
func TestBrowserStateAcrossReconnect(t *testing.T) {
	t.Parallel()
	chromium := browser.New(t)
	for _, route := range matrixRoutes {
		for _, op := range matrixOps {
			t.Run(route.name+", "+op.name, func(t *testing.T) {
				t.Parallel()
				s := newMatrixServer(t)
				page := matrixPage
				if route.edit != nil {
					page = route.edit(page)
				}
				s.start(t, page) //nolint:contextcheck // a process has a life of its own
				s.cut()          // a page without a connection, to begin with
				ctx := browser.Isolated(chromium, t)
				focus(ctx, t)
				browser.Do(ctx, t, chromedp.Navigate("http://"+s.addr), chromedp.Evaluate[chromedp.Void](matrixJS+"\nvoid 0"))
				route.run(ctx, s, op, func() { browser.Eval[bool](ctx, t, "actLive()") })
				browser.WaitFor(ctx, t, `document.title === "step 1"`)
				wanted := op.want()
				if route.edit != nil {
					// Adopted anew, the page cannot tell what a script has put into
					// a field from what its user has: it stays.
					wanted.Follows, wanted.Blur = false, ""
				}
				want, err := json.Marshal(wanted)
				if err != nil {
					t.Fatal(err)
				}
				for _, bad := range browser.Eval[[]string](ctx, t, "verifyLive("+string(want)+")") {
					t.Error(bad)
				}
			})
		}
	}
}
