package live

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"lastmile/live/internal/delivery"
	"lastmile/live/internal/wire"
	"lastmile/push"
	"lastmile/push/cookie"
)

// Hub joins the views of a web process: it knows their actions, holds their
// connections and limits, and ends them in order. Create one with New, give it
// to NewView, and run it. It is safe for concurrent use.
type Hub struct {
	deps    Deps
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	tracer  trace.Tracer
	// spanKind is of every span.
	spanKind trace.SpanStartOption
	origins  *http.CrossOriginProtection
	cookies  *cookie.Sessions
	topics   topicTable
	pages    *delivery.Deps
	frames   wire.Pool
	lanes    lanes
	// opening bounds the connections that are being set up, so that a crowd
	// that comes back at once does not overrun the store.
	opening chan struct{}

	mu       sync.Mutex
	phase    phase
	views    map[string]*page
	actions  map[string]bool // of all views
	conns    map[*conn]struct{}
	byID     map[string]*conn
	sessions map[string]int
	// disconnects counts the calls of Disconnect that have reached this node. It
	// rises under mu.
	disconnects atomic.Uint64
	serving     sync.WaitGroup // connections
	live        atomic.Int64
	room        room
}

// phase is where the hub is in its life.
type phase int

const (
	phaseNew phase = iota
	phaseRunning
	phaseDraining
)

// maxOpening bounds Hub.opening.
const maxOpening = 64

// New checks deps and cfg and fills cfg's defaults. It starts nothing: see Run.
func New(deps Deps, cfg Config) (*Hub, error) {
	if err := deps.check(); err != nil {
		return nil, err
	}
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	h := &Hub{
		deps: deps, cfg: cfg, log: cfg.Logger,
		tracer: cfg.TracerProvider.Tracer("lastmile/live"), spanKind: trace.WithSpanKind(trace.SpanKindConsumer),
		origins: http.NewCrossOriginProtection(),
		opening: make(chan struct{}, maxOpening),
		lanes:   lanes{node: push.NewID()},
		views:   map[string]*page{}, actions: map[string]bool{},
		conns: map[*conn]struct{}{}, byID: map[string]*conn{}, sessions: map[string]int{},
	}
	for _, origin := range cfg.AllowedOrigins {
		if err := h.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("live: Config: AllowedOrigins: %w", err)
		}
	}
	var err error
	if h.cookies, err = cookie.New(cookie.Config{Secrets: [][]byte{cfg.Secret}, Name: cfg.CookieName}); err != nil {
		return nil, fmt.Errorf("live: Config: CookieName: %w", err)
	}
	if h.metrics, err = newMetrics(cfg.Registerer, h); err != nil {
		return nil, fmt.Errorf("live: register metrics: %w", err)
	}
	h.pages = h.delivery()
	return h, nil
}

// register adds a view.
func (h *Hub) register(p *page) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.views[p.name] != nil {
		return fmt.Errorf("live: view %q is registered already", p.name)
	}
	h.views[p.name] = p
	for name := range p.model.actions {
		h.actions[name] = true
	}
	return nil
}

// knows reports whether any view has the action.
func (h *Hub) knows(action string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.actions[action]
}

// admit reserves a place for a connection of the session. The text says why
// there is none.
func (h *Hub) admit(session string) (refused string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.phase == phaseNew:
		return "the hub is not running"
	case h.phase == phaseDraining:
		return "this node is stopping"
	case int(h.live.Load()) >= h.cfg.MaxConns:
		return fmt.Sprintf("this node has its %d connections", h.cfg.MaxConns)
	case h.sessions[session] >= h.cfg.MaxSessionConns:
		return fmt.Sprintf("the session has its %d connections", h.cfg.MaxSessionConns)
	}
	h.live.Add(1)
	h.sessions[session]++
	h.serving.Add(1)
	return ""
}

// discharge gives a place back.
func (h *Hub) discharge(session string) {
	h.mu.Lock()
	h.live.Add(-1)
	if h.sessions[session]--; h.sessions[session] == 0 {
		delete(h.sessions, session)
	}
	h.mu.Unlock()
	h.serving.Done()
}

// enter lists a connection, and reports whether a Disconnect came after seen,
// which did not find it. A draining hub sends it away at once.
func (h *Hub) enter(c *conn, seen uint64) (missed bool) {
	h.mu.Lock()
	h.conns[c] = struct{}{}
	draining, missed := h.phase == phaseDraining, h.disconnects.Load() != seen
	h.mu.Unlock()
	if draining {
		c.stop(goodbye(1))
	}
	return missed
}

// hold makes c the connection of its ID on this node, in place of a former one.
func (h *Hub) hold(c *conn, id string) {
	h.mu.Lock()
	former := h.byID[id]
	h.byID[id] = c
	h.mu.Unlock()
	if former != nil && former != c {
		former.stop(ending{ReasonTaken, closeTaken, "taken over"})
	}
}

// release takes c's ID back.
func (h *Hub) release(c *conn, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID[id] == c {
		delete(h.byID, id)
	}
}

// leave removes a connection from the list.
func (h *Hub) leave(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

// all returns the connections.
func (h *Hub) all() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	conns := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		conns = append(conns, c)
	}
	return conns
}

// Connections returns the number of connections of this node.
func (h *Hub) Connections() int { return int(h.live.Load()) }
