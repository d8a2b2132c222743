package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"lastmile/push"
)

// ErrIdentityUnknown is for an Authenticator that cannot tell now, because what
// it asks does not answer. The request gets status 503 and not 401, and an open
// connection lasts until it has happened twice in a row.
var ErrIdentityUnknown = errors.New("live: identity not known at the moment")

// disconnectTopic carries Disconnect to the other nodes. No name of a topic may
// have a control character, so no page can follow it or write to it.
const disconnectTopic = "\x01disconnect"

// disconnected is the message on disconnectTopic.
type disconnected struct {
	Session string `json:"s,omitempty"`
	User    string `json:"u,omitempty"`
}

// Disconnect ends the connections of a session (who.Session), of a user
// (who.UserID), or of a user in a session (both), on every node. Their browsers
// load the page again, so they see what the Authenticator says from then on.
// Call it when a user signs in, signs out or loses a right, behind the change
// that has the Authenticator say so: a connection that is being made at that
// moment is asked again, and does not slip through.
//
// It does not wait for the connections to end: an action under way ends first.
// Calling it again is harmless. This node is reached in any case. Another one is
// reached at most once, by Deps.Broker: one that is away from the store at that
// moment is not, and finds out within Config.IdentifyEvery. An error means that
// the other nodes may not have been told; call it again. Without a Broker only
// this node is reached.
func (h *Hub) Disconnect(ctx context.Context, who Identity) error {
	if who == (Identity{}) {
		return fmt.Errorf("live: disconnect: %w: neither a session nor a user is named", push.ErrInvalid)
	}
	h.disconnectHere(who)
	if h.deps.Broker == nil {
		return nil
	}
	payload, err := json.Marshal(disconnected{who.Session, who.UserID})
	if err == nil {
		err = h.deps.Broker.Publish(ctx, disconnectTopic, payload)
	}
	if err != nil {
		return fmt.Errorf("live: disconnect on other nodes: %w", err)
	}
	return nil
}

// disconnectHere ends the connections of this node.
func (h *Hub) disconnectHere(who Identity) {
	h.mu.Lock()
	h.disconnects.Add(1)
	var ended []*conn
	for c := range h.conns {
		if (who.Session == "" || who.Session == c.identity.Session) && (who.UserID == "" || who.UserID == c.identity.UserID) {
			ended = append(ended, c)
		}
	}
	h.mu.Unlock()
	for _, c := range ended {
		c.stop(ending{ReasonIdentity, closeIdentity, "disconnected"})
	}
}

// heardDisconnect takes a message of disconnectTopic, this node's own too.
func (h *Hub) heardDisconnect(payload []byte) {
	var m disconnected
	if err := json.Unmarshal(payload, &m); err != nil || m == (disconnected{}) {
		h.log.Warn("disconnect of another node cannot be read", "error", err)
		return
	}
	h.disconnectHere(Identity{Session: m.Session, UserID: m.User})
}

// asking asks again who a connection's browser is. The loop's alone.
type asking struct {
	// request is a copy of the one that opened the connection; nil without an
	// Authenticator: then nothing can change.
	request *http.Request
	at      time.Time
	unsure  bool // the last time there was no answer
}

// newAsking keeps what is needed to ask again, at once when a Disconnect came
// while the request was being identified.
func newAsking(h *Hub, r *http.Request, missed bool) asking {
	if h.cfg.Authenticator == nil {
		return asking{}
	}
	kept := r.Clone(context.WithoutCancel(r.Context()))
	kept.Body = http.NoBody
	a := asking{request: kept, at: time.Now()}
	if !missed {
		a.later(h.cfg.IdentifyEvery)
	}
	return a
}

// later sets the time of the next question. Connections that came together are
// not asked about together.
func (a *asking) later(every time.Duration) {
	a.at = time.Now().Add(every/2 + rand.N(every/2+1)) //nolint:gosec // no secret
}

// again asks who the browser of c is when that is due, and ends the connection
// when it is somebody else, or nobody any more.
func (a *asking) again(ctx context.Context, c *conn) {
	if a.at.IsZero() || time.Now().Before(a.at) {
		return
	}
	a.later(c.hub.cfg.IdentifyEvery)
	ctx, cancel := context.WithTimeout(ctx, c.hub.cfg.StoreTimeout)
	defer cancel()
	who, err := identifyAgain(c.hub, a.request.WithContext(ctx))
	unsure := err != nil && (errors.Is(err, ErrIdentityUnknown) || ctx.Err() != nil)
	switch {
	case err == nil && who == c.identity:
	case unsure && !a.unsure:
		c.hub.log.WarnContext(ctx, "identity not known, asking once more", "session", push.Redact(c.who.Session), "view", c.page.name, "error", err)
	case unsure:
		c.end(ending{ReasonIdentity, websocket.StatusTryAgainLater, "identity not known"})
	default:
		c.end(ending{ReasonIdentity, closeIdentity, "identity changed"})
	}
	a.unsure = unsure
}

// identifyAgain asks about a request that has been identified before. A panic of
// the program's code says nothing about the browser.
func identifyAgain(h *Hub, r *http.Request) (who Identity, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: Identify panicked: %v", ErrIdentityUnknown, v)
		}
	}()
	return h.identify(nobody{}, r)
}

// nobody takes an answer that no browser waits for.
type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(b []byte) (int, error) { return len(b), nil }
func (nobody) WriteHeader(int)             {}
