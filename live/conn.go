package live

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"lastmile/live/internal/delivery"
	"lastmile/live/internal/engine"
	"lastmile/live/internal/wire"
)

// conn is one connection and the page behind it. One goroutine, the loop, owns
// the page and writes frames; a second one reads the socket, which is a WebSocket
// or stands in for one; a third lives as long as the socket takes no more of a
// frame.
type conn struct {
	page   *page
	hub    *Hub
	socket wire.Transport

	// Read state. The reader writes heard and hands messages over by inbox; gone
	// tells the loop that it has ended.
	heard   atomic.Int64 // unix nanoseconds of the last message
	inbox   chan *inbound
	gone    chan error
	limiter *rate.Limiter // the loop's
	clicks  []message     // the loop's: actions that wait
	topics  subscriptions

	// identity is whose connection it is, for any goroutine.
	identity Identity
	asking   asking // the loop's

	// Page state, the loop's alone. A page mounted anew has a new visitor and a
	// new session; what of a visitor actions may read later never changes.
	who       *visitor
	session   *delivery.Session
	connected bool // OnConnect has run
	openBy    time.Time
	placed    *string // the query of the page's address, once it was patched

	// Write state, the loop's alone.
	tree    *engine.View // what the browser was sent last
	out     output
	refused refusals

	// Lifecycle. Any goroutine may ask by stopping; over is set once by the loop,
	// and done is closed when it has finished.
	name     atomic.Pointer[string] // the connection's ID, for other goroutines
	stopping chan ending
	over     *ending
	done     chan struct{}
	timer    *time.Timer // of the loop
}

// inbound is a browser's message, or why it cannot be taken.
type inbound struct {
	message
	err *messageError
}

// ending is how a connection ends.
type ending struct {
	reason Reason
	code   websocket.StatusCode
	text   string
}

// endings are those of a Session that cannot go on.
var endings = map[delivery.End]ending{
	delivery.EndFenced:     {ReasonTaken, closeTaken, "taken over"},
	delivery.EndGone:       {ReasonLost, websocket.StatusServiceRestart, "1"},
	delivery.EndUnstorable: {ReasonLost, websocket.StatusInternalError, "state cannot be stored"},
	delivery.EndTooLarge:   {ReasonLost, websocket.StatusInternalError, "state too large"},
	delivery.EndStateLost:  {ReasonLost, websocket.StatusInternalError, "state lost"},
}

const (
	// helloTimeout bounds the wait for a browser's first message.
	helloTimeout = 5 * time.Second
	// floodFactor is how many times the action rate all messages may reach
	// before the connection is cut.
	floodFactor = 10
	// maxClicks bounds the actions that wait.
	maxClicks = 64
	// topicQueue bounds the topic messages that wait.
	topicQueue = 64
)

// serveSocket takes a WebSocket. The handler returns at once: what it holds
// would double the memory of an idle connection.
func (p *page) serveSocket(w http.ResponseWriter, r *http.Request) {
	p.connect(w, r, func(Identity) (wire.Transport, error) {
		return wire.Accept(w, r, p.hub.cfg.AllowedOrigins, p.readLimit())
	})
}

// readLimit bounds a message: between once and twice the bound there is an
// answer.
func (p *page) readLimit() int64 { return 2 * int64(p.hub.cfg.MaxMessageBytes) }

// connect starts a connection for a browser that may have one. accept answers the
// request, or fails.
func (p *page) connect(w http.ResponseWriter, r *http.Request, accept func(Identity) (wire.Transport, error)) {
	seen := p.hub.disconnects.Load()
	id, err := p.hub.identify(w, r)
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	if why := p.hub.admit(id.Session); why != "" {
		w.Header().Set("Retry-After", "1")
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	socket, err := accept(id)
	if err != nil {
		p.hub.discharge(id.Session)
		p.hub.log.DebugContext(r.Context(), "connection refused", "view", p.name, "error", err)
		return
	}
	c := &conn{
		page: p, hub: p.hub, socket: socket, identity: id,
		who:   &visitor{Identity: id, view: p.name, request: keepRequest(r)},
		inbox: make(chan *inbound, 4), out: output{Writer: socket.Writer(&p.hub.frames, p.hub.cfg.WriteTimeout)},
		stopping: make(chan ending, 1), gone: make(chan error, 1), done: make(chan struct{}),
		limiter: rate.NewLimiter(rate.Limit(p.hub.cfg.MessageRate), p.hub.cfg.MessageBurst),
	}
	c.topics.conn = c
	c.heard.Store(time.Now().UnixNano())
	c.asking = newAsking(p.hub, r, p.hub.enter(c, seen))
	go c.serve(context.WithoutCancel(r.Context()))
}

// serve runs the connection from its first message to its end.
func (c *conn) serve(ctx context.Context) {
	defer c.hub.discharge(c.who.Session)
	defer c.hub.leave(c)
	end := c.greet(ctx)
	if end == nil {
		go reader{c}.run(ctx)
		end = c.loop(ctx)
	}
	c.finish(ctx, *end)
}

// greet reads the first message and makes the page that it asks for.
func (c *conn) greet(ctx context.Context) *ending {
	hello, err := reader{c}.hello(ctx)
	switch {
	case err != nil:
		return &ending{ReasonPolicy, websocket.StatusPolicyViolation, err.Error()}
	case hello.Version != wireVersion:
		return &ending{ReasonPolicy, closeVersion, "protocol version " + strconv.Itoa(wireVersion) + " is spoken here"}
	}
	select {
	case c.hub.opening <- struct{}{}:
		defer func() { <-c.hub.opening }()
	case e := <-c.stopping:
		return &e
	}
	return c.open(ctx, hello)
}

// stop asks the loop to end; the first request counts. Any goroutine may call
// it.
func (c *conn) stop(e ending) {
	select {
	case c.stopping <- e:
	default:
	}
}

// topicName returns the connection's ID. Any goroutine may call it.
func (c *conn) topicName() string {
	if id := c.name.Load(); id != nil {
		return *id
	}
	return ""
}

// end notes that the connection is over; the first reason counts.
func (c *conn) end(e ending) {
	if c.over == nil {
		c.over = &e
	}
}

// lost tells how the socket ended.
func lost(err error) ending {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return ending{ReasonClosed, websocket.StatusNormalClosure, ""}
	case websocket.StatusMessageTooBig:
		return ending{ReasonPolicy, websocket.StatusMessageTooBig, "message too big"}
	default:
		if errors.Is(err, websocket.ErrMessageTooBig) {
			return ending{ReasonPolicy, websocket.StatusMessageTooBig, "message too big"}
		}
		return ending{ReasonLost, websocket.StatusAbnormalClosure, ""}
	}
}
