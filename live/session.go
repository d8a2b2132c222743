package live

import (
	"errors"
	"fmt"
	"net/http"

	"lastmile/push"
)

// Identity says who a request is from.
type Identity struct {
	// UserID is the signed-in user, or empty. Context.UserID returns it.
	UserID string
	// Session is the ID of the session: an unguessable secret of 16 to
	// push.MaxIDLen bytes. Connections with the same one get the same pushes.
	// Empty asks for the session of the cookie: an anonymous one, or, with a
	// UserID, one that this user alone has in this browser.
	Session string
}

// Authenticator names a request's user and session. Identify is called for
// every page, form and WebSocket, from many goroutines, and for open connections
// again (Config.IdentifyEvery), with a copy of the request that opened them: look
// up what the request's cookie says now, not what a middleware found at the time.
// An error refuses the request with status 401, or 503 if it wraps
// ErrIdentityUnknown. A session ID that can be guessed lets a stranger
// read the session's pages: derive it from a secret, never from a user name
// alone.
type Authenticator interface {
	Identify(r *http.Request) (Identity, error)
}

// ErrUnidentified means that the Authenticator refused a request, or named a
// session that breaks its form.
var ErrUnidentified = errors.New("live: request not identified")

// minSessionLen keeps session IDs that are short enough to guess out.
const minSessionLen = 16

// SessionOf returns the session of a request to any handler of the program (an
// upload, say), the one that the pages of the same browser have. It sets the
// session cookie when the browser has none, so call it before writing the body.
func (h *Hub) SessionOf(w http.ResponseWriter, r *http.Request) (push.Session, error) {
	who, err := h.identify(w, r)
	if err != nil {
		return nil, err
	}
	return h.deps.Publisher.Session(who.Session), nil
}

// identify names the request's user and session, making a new session when
// there is none.
func (h *Hub) identify(w http.ResponseWriter, r *http.Request) (Identity, error) {
	var who Identity
	if h.cfg.Authenticator != nil {
		var err error
		if who, err = h.cfg.Authenticator.Identify(r); err != nil {
			return Identity{}, fmt.Errorf("%w: %w", ErrUnidentified, err)
		}
	}
	if who.Session == "" {
		who.Session = h.cookies.Session(w, r, who.UserID)
	}
	if n := len(who.Session); n < minSessionLen || n > push.MaxIDLen {
		return Identity{}, fmt.Errorf("%w: session ID of %d bytes, want %d to %d", ErrUnidentified, n, minSessionLen, push.MaxIDLen)
	}
	return who, nil
}
