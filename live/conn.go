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

	"lastmile/live/internal/engine"
	"lastmile/push"
)

// conn is one WebSocket and the page behind it. One goroutine, the loop, owns
// the state and writes frames; a second one reads the socket; a third lives as
// long as the socket takes no more of a frame.
type conn struct {
	page *page
	hub  *Hub
	ws   *websocket.Conn
	wire *wire

	heard    atomic.Int64           // unix nanoseconds of the last message
	name     atomic.Pointer[string] // the connection's ID, for other goroutines
	inbox    chan *inbound
	wrote    chan error
	stopping chan ending
	gone     chan error
	done     chan struct{}
	// topicInbox is made with the first subscription.
	topicInbox chan topicMessage

	// What follows belongs to the loop.

	who     *visitor
	limiter *rate.Limiter
	tree    *engine.View
	feed    *push.Feed
	over    *ending

	now     snapshot // what the page has
	saved   snapshot // what the store has
	state   any      // of now
	fence   uint64
	epoch   string
	created bool // the store has a record
	unsaved bool // now and saved differ, or what goes with them

	// The view's shared fields: as the store had them last, as they were
	// before and after an unsaved click.
	view                 viewState
	base                 shared
	clickBase, clickMine shared
	clicked              bool
	viewSkipped          []push.Seq
	viewApplied          applied // since the record was read or written
	heir                 heir

	clicks      []message
	backlog     []*item
	retry       *retry
	pass        *pass // of the push passOf, while it runs or waits for its turn
	passOf      *item
	uncommitted []*item
	marked      bool     // the first redelivered push has been marked
	careful     bool     // store after each redelivered push: one of them may kill
	mountEnd    push.Seq // where the page stands once the mount's backlog is done

	held  effects // of Mount, OnConnect and clicks, until the state is stored
	out   output
	acks  acknowledger
	stall stall

	refused refusals

	connected bool // OnConnect has run
	openBy    time.Time
	commitAt  time.Time
	storedAt  time.Time
	timer     *time.Timer
}

// snapshot is a state with the place it stands at.
type snapshot struct {
	encoded []byte
	cursor  push.Seq
	client  uint64
	applied applied
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
	up := &upgrade{ResponseWriter: w}
	ws, err := websocket.Accept(up, r, &websocket.AcceptOptions{OriginPatterns: p.hub.cfg.AllowedOrigins})
	if err != nil {
		p.hub.discharge(id.Session)
		p.hub.log.DebugContext(r.Context(), "websocket refused", "view", p.name, "error", err)
		return
	}
	c := &conn{
		page: p, hub: p.hub, ws: ws, wire: up.wire,
		who:   &visitor{Identity: id, view: p.name, request: keepRequest(r)},
		inbox: make(chan *inbound, 4), wrote: make(chan error, 1),
		stopping: make(chan ending, 1), gone: make(chan error, 1), done: make(chan struct{}),
		limiter: rate.NewLimiter(rate.Limit(p.hub.cfg.MessageRate), p.hub.cfg.MessageBurst),
	}
	c.heard.Store(time.Now().UnixNano())
	ws.SetReadLimit(2 * int64(p.hub.cfg.MaxMessageBytes)) // between once and twice there is an answer
	p.hub.enter(c)
	go c.serve(context.WithoutCancel(r.Context()))
}

// serve runs the connection from its first message to its end.
func (c *conn) serve(ctx context.Context) {
	defer c.hub.discharge(c.who.Session)
	defer c.hub.leave(c)
	end := c.greet(ctx)
	if end == nil {
		go c.read(ctx)
		end = c.loop(ctx)
	}
	c.finish(ctx, *end)
}

// greet reads the first message and makes the page that it asks for.
func (c *conn) greet(ctx context.Context) *ending {
	hello, err := c.readHello(ctx)
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

func (c *conn) readHello(ctx context.Context) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return message{}, errors.New("no hello")
	}
	c.heard.Store(time.Now().UnixNano())
	return decodeMessage(b, c.hub.cfg.MaxMessageBytes)
}

// read hands the browser's messages to the loop until the socket ends. It
// answers heartbeats itself: a browser must not take a long action for a dead
// connection.
func (c *conn) read(ctx context.Context) {
	flood := rate.NewLimiter(floodFactor*rate.Limit(c.hub.cfg.MessageRate), floodFactor*c.hub.cfg.MessageBurst)
	for err := error(nil); err == nil; err = c.readMessage(ctx, flood) {
		c.wire.await()
	}
}

// readMessage hands one message to the loop.
func (c *conn) readMessage(ctx context.Context, flood *rate.Limiter) error {
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		c.gone <- err
		return err
	}
	c.heard.Store(time.Now().UnixNano())
	if !flood.Allow() {
		c.stop(ending{ReasonPolicy, websocket.StatusPolicyViolation, "too many messages"})
		return nil
	}
	in := new(inbound)
	if in.message, err = decodeMessage(b, c.hub.cfg.MaxMessageBytes); err != nil {
		in.err, _ = errors.AsType[*messageError](err)
	} else if in.heartbeat() && !c.beat(ctx) {
		return nil // the next read tells why
	}
	select {
	case c.inbox <- in:
	case <-c.done:
	}
	return nil
}

// stop asks the loop to end; the first request counts. Any goroutine may call
// it.
func (c *conn) stop(e ending) {
	select {
	case c.stopping <- e:
	default:
	}
}

// cut ends the socket without ceremony. Any goroutine may call it.
func (c *conn) cut() { _ = c.ws.CloseNow() } // it is over either way

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
func (c *conn) lost(err error) ending {
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
