package pushhttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"lastmile/push"
)

// socketMessage is what goes down a WebSocket: a push, an event that is no push,
// a place, or {} as a heartbeat.
type socketMessage struct {
	ID     string          `json:"id,omitempty"`
	Action string          `json:"action,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	// Event is reset, stopping, closed or expired.
	Event string `json:"event,omitempty"`
	// Retry is in how many milliseconds to come back.
	Retry int `json:"retry,omitempty"`
}

// socket serves a WebSocket: the same events as messages, and acknowledgements
// upstream.
func (h *Handler) socket(w http.ResponseWriter, r *http.Request, who caller) {
	leave, full := h.enter(who.session)
	if full {
		h.metrics.refused.WithLabelValues("full").Inc()
		newProblem(http.StatusServiceUnavailable, "full", "There are too many readers.").again(5*time.Second).write(w, r)
		return
	}
	defer leave()
	rd, err := h.openWithin(r.Context(), quickly, who, r.URL.Query().Get("after"))
	if err != nil {
		pollProblem(err).write(w, r)
		return
	}
	defer rd.feed.Close()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol},
		InsecureSkipVerify: true, // admitOrigin has checked it
	})
	if err != nil {
		h.cfg.Logger.DebugContext(r.Context(), "upgrade failed", "session", push.Redact(who.session), "error", err)
		return
	}
	ws.SetReadLimit(maxAckBody)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	f := &follower{reader: rd, out: &socketOutlet{ctx: ctx, ws: ws, timeout: h.cfg.WriteTimeout}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		f.hear(ctx, ws)
	}()
	f.run(ctx)
	_ = ws.Close(websocket.StatusServiceRestart, "come back") // it may have left
	cancel()
	<-done
}

// hear reads what the browser confirms until the connection ends. Until its first
// word it counts as one that can only listen.
func (f *follower) hear(ctx context.Context, ws *websocket.Conn) {
	for {
		_, text, err := ws.Read(ctx)
		if err != nil {
			return
		}
		var in struct {
			Ack string `json:"ack"`
		}
		if err := json.Unmarshal(text, &in); err != nil {
			_ = ws.Close(websocket.StatusPolicyViolation, "no JSON object") // it may have left
			return
		}
		if in.Ack == "" {
			continue
		}
		f.confirms.Store(true)
		p := f.h.acknowledge(ctx, f.who, in.Ack, ackSocket)
		if p != nil && p.Status == http.StatusBadRequest {
			_ = ws.Close(websocket.StatusPolicyViolation, "no event ID of this reader") // it may have left
			return
		}
	}
}

// socketOutlet is an outlet for a WebSocket.
type socketOutlet struct {
	ctx     context.Context //nolint:containedctx // it is the connection's
	ws      *websocket.Conn
	timeout time.Duration
	queue   [][]byte
	size    int
}

func (s *socketOutlet) add(m socketMessage) {
	text, err := json.Marshal(m)
	if err != nil {
		return // the data was checked when it was published
	}
	s.queue = append(s.queue, text)
	s.size += len(text)
}

func (s *socketOutlet) event(id string, e push.Entry, _ string) {
	s.add(socketMessage{ID: id, Action: e.Action, Data: dataOf(e)})
}

func (s *socketOutlet) control(name, id string, retry int) {
	s.add(socketMessage{ID: id, Event: name, Retry: retry})
}

func (s *socketOutlet) place(id string) { s.add(socketMessage{ID: id}) }

func (s *socketOutlet) beat() { s.add(socketMessage{}) }

func (s *socketOutlet) gathered() int { return s.size }

func (s *socketOutlet) flush() error {
	queue := s.queue
	s.queue, s.size = nil, 0
	for _, text := range queue {
		ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
		err := s.ws.Write(ctx, websocket.MessageText, text)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// progress takes the writes that did not fail at their word.
func (*socketOutlet) progress() (written, gone int64) { return 0, 0 }

// acknowledge confirms what a reader says it has applied.
func (h *Handler) acknowledge(ctx context.Context, who caller, upTo, how string) *problem {
	at, err := h.keys.parse(who.session, who.only, upTo)
	if err != nil {
		return newProblem(http.StatusBadRequest, "cursor", "upTo is no event ID of this session and these actions.")
	}
	if e := h.node.Epoch(); e != "" && e != at.epoch {
		return newProblem(http.StatusConflict, "epoch", "The event ID is of a store that was emptied since.")
	}
	if err := h.confirm(ctx, who, at.seq, how); err != nil {
		if !errors.Is(err, push.ErrSessionClosed) {
			h.cfg.Logger.WarnContext(ctx, "confirmation failed", "session", push.Redact(who.session), "error", err)
		}
		return pollProblem(err)
	}
	return nil
}
