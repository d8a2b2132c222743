package live

import (
	"crypto/hmac"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"lastmile/live/internal/wire"
	"lastmile/push"
)

// Where WebSockets do not pass, a page's connection is a lane: the answer to
// askLane lasts and carries the frames, requests of askSend carry the messages.
// Which node such a request comes to does not matter: the name of a lane says
// which one holds it, and there it is sent on to, by the Broker.
const (
	askLane = "lane"
	askSend = "send"
	// queryLane is the query key of a lane's name.
	queryLane = "l"
	// lanePurpose is part of what is signed in the name of a lane.
	lanePurpose = "live lane 1"
)

// lanes are those of this node.
type lanes struct {
	node string // its name

	mu   sync.Mutex
	open map[string]*wire.Lane
}

// forwarded is a request for a lane of another node.
type forwarded struct {
	Lane string          `json:"l"`
	Body json.RawMessage `json:"b"`
}

// laneTopic carries requests to the node that holds their lanes. No page can
// follow it or write to it, see disconnectTopic.
func laneTopic(node string) string { return "\x01lane." + node }

// laneName names a lane to the browser that may use it.
func (h *Hub) laneName(who Identity) string {
	id := h.lanes.node + "." + push.NewID()
	return id + "." + laneTag(h, who, id)
}

func laneTag(h *Hub, who Identity, id string) string {
	return cause{string(h.sign(lanePurpose, who.Session, who.UserID, id))}.id()
}

// nodeOf returns the node that holds a lane, "" when who may not use it.
func nodeOf(h *Hub, name string, who Identity) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || !hmac.Equal([]byte(name[i+1:]), []byte(laneTag(h, who, name[:i]))) {
		return ""
	}
	node, _, _ := strings.Cut(name, ".")
	return node
}

func (l *lanes) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

func (l *lanes) get(name string) *wire.Lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[name]
}

func (l *lanes) add(name string, lane *wire.Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[string]*wire.Lane{}
	}
	l.open[name] = lane
}

func (l *lanes) remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, name)
}

// serveLane takes the request that opens a lane, with the hello as its body. The
// handler returns when the connection has ended.
func (p *page) serveLane(w http.ResponseWriter, r *http.Request) {
	hello, ok := p.readLane(w, r, p.readLimit())
	if !ok {
		return
	}
	var lane *wire.Lane
	var name string
	p.connect(w, r, func(who Identity) (wire.Transport, error) { //nolint:contextcheck // the request has it
		name, lane = p.hub.laneName(who), wire.NewLane(w, p.readLimit())
		p.hub.lanes.add(name, lane)
		err := lane.Open(r, name, hello)
		if errors.Is(err, http.ErrNotSupported) {
			p.hub.log.WarnContext(r.Context(), "connections without WebSockets are refused: a middleware's ResponseWriter has neither Flush nor Unwrap", "view", p.name)
		}
		return lane, err
	})
	if lane != nil {
		lane.Wait(r.Context())
		p.hub.lanes.remove(name)
	}
}

// serveSend takes a request with messages for a lane. Its answer says only that
// they were taken, or will be if the lane's node still hears this one: what an
// action came to is told by a frame.
func (p *page) serveSend(w http.ResponseWriter, r *http.Request) {
	body, ok := p.readLane(w, r, 2*p.readLimit())
	if !ok {
		return
	}
	batch, err := wire.DecodeBatch(body)
	if err != nil {
		http.Error(w, "the body is not a numbered list of messages", http.StatusBadRequest)
		return
	}
	who, err := p.hub.identify(w, r)
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	name := r.URL.Query().Get(queryLane)
	node := nodeOf(p.hub, name, who)
	if node == "" {
		http.Error(w, "parameter "+queryLane+": not a connection of this browser", http.StatusForbidden)
		return
	}
	if node != p.hub.lanes.node {
		p.forward(w, r, node, forwarded{name, body})
		return
	}
	err = wire.ErrLaneOver
	if lane := p.hub.lanes.get(name); lane != nil {
		err = lane.Put(r.Context(), batch)
	}
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, wire.ErrLaneOver):
		http.Error(w, "the connection is over", http.StatusGone)
	default: // full, or nobody is there to read an answer
		http.Error(w, "too many messages", http.StatusTooManyRequests)
	}
}

// readLane reads the body of a lane's request. With false the request is
// answered. A page of another site can send no JSON, and no request that a
// browser says is its own.
func (p *page) readLane(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return nil, false
	}
	if err := p.hub.origins.Check(r); err != nil {
		http.Error(w, "cross-origin request refused", http.StatusForbidden)
		return nil, false
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "the body must be application/json", http.StatusUnsupportedMediaType)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, http.StatusText(status), status)
		return nil, false
	}
	return body, true
}

// forward sends a request on to the node that holds the lane. Without a Broker
// the load balancer has to bring each session to one node.
func (p *page) forward(w http.ResponseWriter, r *http.Request, node string, m forwarded) {
	if p.hub.deps.Broker == nil {
		p.hub.log.WarnContext(r.Context(), "a message came to another node than its connection, and there is no Broker to send it on: the load balancer has to keep a session on one node", "view", p.name)
		http.Error(w, "another node holds this connection", http.StatusMisdirectedRequest)
		return
	}
	payload, err := json.Marshal(m)
	if err == nil {
		err = p.hub.deps.Broker.Publish(r.Context(), laneTopic(node), payload)
	}
	if err != nil {
		p.hub.log.WarnContext(r.Context(), "messages cannot be sent on to the node of their connection", "view", p.name, "error", err)
		http.Error(w, "the connection's node cannot be reached", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// heardLane takes a request that another node has sent on. One that finds no room
// ends the connection: the browser sends what has no answer again.
func (h *Hub) heardLane(payload []byte) {
	var m forwarded
	err := json.Unmarshal(payload, &m)
	var batch wire.Batch
	if err == nil {
		batch, err = wire.DecodeBatch(m.Body)
	}
	if err != nil {
		h.log.Warn("message of another node cannot be read", "error", err)
		return
	}
	lane := h.lanes.get(m.Lane)
	if lane != nil && errors.Is(lane.TryPut(batch), wire.ErrLaneFull) {
		lane.Cut()
	}
}
