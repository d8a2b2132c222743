package pushhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"lastmile/push"
)

// openers bounds the readers that ask the store at a time.
const openers = 32

// Handler serves the readers of a process. It is an http.Handler to be mounted
// anywhere: it looks at the last element of the path alone. Safe for concurrent
// use.
type Handler struct {
	node    *push.Node
	broker  push.Broker // nil without topics
	cfg     Config
	keys    keys
	metrics metrics
	origins map[string]bool
	slots   chan struct{}
	desk    *desk // of publishers; nil when publishing is off
	scripts map[string]script

	mu       sync.Mutex
	readers  int
	sessions map[string]int // readers of each
	stopping chan struct{}  // closed when the readers have to leave
	stopped  bool
	idle     chan struct{} // signalled when a reader leaves
	running  bool
}

// New checks cfg and fills its defaults. It starts nothing.
func New(d Deps, cfg Config) (*Handler, error) {
	if d.Node == nil {
		return nil, errors.New("pushhttp: Deps: no Node")
	}
	if err := cfg.fill(d); err != nil {
		return nil, err
	}
	k, err := newKeys(cfg.Secrets)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		node: d.Node, broker: d.Broker, cfg: cfg, keys: k, metrics: m, origins: make(map[string]bool), slots: make(chan struct{}, openers),
		sessions: make(map[string]int), stopping: make(chan struct{}), idle: make(chan struct{}, 1),
	}
	if h.scripts, err = newScripts(); err != nil {
		return nil, err
	}
	for _, o := range cfg.AllowedOrigins {
		h.origins[o] = true
	}
	if len(cfg.PublishKeys) > 0 {
		h.desk = newDesk(d.Publisher, &h.cfg)
	}
	return h, nil
}

// Run waits until ctx ends and then has all readers leave: each is told to come
// back, at a random time within two seconds, to whoever serves it then. It
// returns nil once they have left, or after Config.DrainTimeout. End it before
// the Node. It can be called once.
func (h *Handler) Run(ctx context.Context) error {
	h.mu.Lock()
	again := h.running
	h.running = true
	h.mu.Unlock()
	if again {
		return errors.New("pushhttp: Run was called before")
	}
	<-ctx.Done()
	h.mu.Lock()
	h.stopped = true
	close(h.stopping)
	h.mu.Unlock()
	timeout := time.NewTimer(h.cfg.DrainTimeout)
	defer timeout.Stop()
	for {
		h.mu.Lock()
		left := h.readers
		h.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-h.idle:
		case <-timeout.C:
			h.cfg.Logger.WarnContext(ctx, "readers have not left in time", "readers", left)
			return nil
		}
	}
}

// untilDrained returns a context that ends when readers have to leave, too.
func (h *Handler) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-h.stopping:
			cancel()
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); cancel() }
}

// enter takes a place for a reader, unless all are taken.
func (h *Handler) enter(session string) (leave func(), full bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || h.readers >= h.cfg.MaxReaders || h.sessions[session] >= h.cfg.MaxSessionReaders {
		return nil, true
	}
	h.readers++
	h.sessions[session]++
	h.metrics.readers.Inc()
	return sync.OnceFunc(func() { h.leave(session) }), false
}

func (h *Handler) leave(session string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readers--
	if h.sessions[session]--; h.sessions[session] == 0 {
		delete(h.sessions, session)
	}
	h.metrics.readers.Dec()
	select {
	case h.idle <- struct{}{}:
	default:
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	method, known := h.endpoint(name)
	switch {
	case !known:
		newProblem(http.StatusNotFound, "endpoint", "There is no such endpoint.").write(w, r)
		return
	case r.Method == http.MethodOptions:
		h.preflight(w, r)
		return
	case r.Method != method:
		w.Header().Set("Allow", method+", OPTIONS")
		newProblem(http.StatusMethodNotAllowed, "method", "The method is "+method+".").write(w, r)
		return
	}
	if file, ok := h.scripts[name]; ok {
		file.serve(w, r)
		return
	}
	if name == "publish" { // no cookie matters there, and no browser calls it
		h.publish(w, r)
		return
	}
	if p := h.admitOrigin(w, r); p != nil {
		h.metrics.refused.WithLabelValues("origin").Inc()
		p.write(w, r)
		return
	}
	who, p := h.identify(w, r)
	if p != nil {
		h.refuse(w, r, name, p)
		return
	}
	switch name {
	case "events":
		h.events(w, r, who)
	case "socket":
		h.socket(w, r, who)
	case "ack":
		h.ack(w, r, who)
	}
}

// endpoint returns the method of an endpoint.
func (h *Handler) endpoint(name string) (method string, known bool) {
	switch name {
	case "events", "socket", scriptName, hookName:
		return http.MethodGet, true
	case "ack":
		return http.MethodPost, true
	case "publish":
		return http.MethodPost, h.desk != nil
	}
	return "", false
}

// refuse answers a reader that is not let in.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, name string, p *problem) {
	reason := "request"
	if p.Status == http.StatusUnauthorized {
		reason = "session"
	}
	h.metrics.refused.WithLabelValues(reason).Inc()
	if p.Status == http.StatusServiceUnavailable && name == "events" && !accepts(r, "application/json") {
		h.busy(w, r, dialect{}) // a status would end an EventSource for good
		return
	}
	p.write(w, r)
}

// Session returns the session of a request to any handler of the program, as
// Config.Authenticator tells it: what a job needs, to push to the browser that
// asked for it. It may set a cookie, so call it before writing the body.
func (h *Handler) Session(w http.ResponseWriter, r *http.Request) (string, error) {
	session, err := h.cfg.Authenticator(w, r)
	if err != nil {
		return "", fmt.Errorf("pushhttp: session of a request: %w", err)
	}
	if n := len(session); n < minSessionLen || n > push.MaxIDLen {
		return "", fmt.Errorf("pushhttp: %w: session ID of %d bytes, want %d to %d", push.ErrInvalid, n, minSessionLen, push.MaxIDLen)
	}
	return session, nil
}

// Cursor returns the place of a reader that begins now, for the session of the
// request and the actions that it will name. Take it before the page's data is
// read, and give it to the script with the page: a push that comes while the page
// is made is applied once more then, and none is missed. What waited before counts
// as seen, since the page's data is newer.
func (h *Handler) Cursor(w http.ResponseWriter, r *http.Request, actions ...string) (string, error) {
	only, err := newFilter(strings.Join(actions, ","))
	if err != nil {
		return "", fmt.Errorf("pushhttp: cursor: %w", err)
	}
	session, err := h.Session(w, r)
	if err != nil {
		return "", err
	}
	b, err := h.node.Pending(r.Context(), session, 0)
	if err != nil {
		return "", fmt.Errorf("pushhttp: cursor: %w", err)
	}
	return h.keys.format(session, only, cursor{epoch: b.Epoch, seq: b.Cursor}), nil
}
