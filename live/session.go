package live

import (
	"crypto/hmac"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

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

// cookieAge is how long an anonymous session lives in a browser that does not
// come back.
const cookieAge = 365 * 24 * time.Hour

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
		who.Session = h.cookieSession(w, r, who.UserID)
	}
	if n := len(who.Session); n < minSessionLen || n > push.MaxIDLen {
		return Identity{}, fmt.Errorf("%w: session ID of %d bytes, want %d to %d", ErrUnidentified, n, minSessionLen, push.MaxIDLen)
	}
	return who, nil
}

const (
	cookiePurpose = "live cookie 1"
	userPurpose   = "live session of a user 1"
)

// cookieSession returns the session in the cookie, or sets a new one. Each user
// of a browser has one of their own: what one has done there is not the next
// one's, nor of who is signed out.
func (h *Hub) cookieSession(w http.ResponseWriter, r *http.Request, user string) string {
	id := h.browserID(w, r)
	if user == "" {
		return id
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.sign(userPurpose, id, user))
}

// browserID returns what the browser's cookie says, or sets one. It takes only
// what a node with the same secret has made: nobody can plant a session that
// they know.
func (h *Hub) browserID(w http.ResponseWriter, r *http.Request) string {
	name := hostCookie(r, h.cfg.CookieName)
	for _, c := range r.CookiesNamed(name) {
		id, mac, _ := strings.Cut(c.Value, ".")
		if sum, err := base64.RawURLEncoding.DecodeString(mac); err == nil && hmac.Equal(sum, h.sign(cookiePurpose, id)) {
			return id
		}
	}
	id := push.NewID() + push.NewID() // at least 256 bits
	value := id + "." + base64.RawURLEncoding.EncodeToString(h.sign(cookiePurpose, id))
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure under TLS; plain http is for development
		Name: name, Value: value, Path: "/", MaxAge: int(cookieAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure(r),
	})
	// Whoever asks again while this request is served gets the same answer.
	r.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // not sent anywhere
	return id
}

// hostCookie is a cookie's name in this request. Under TLS it has the prefix
// __Host-: browsers take such a cookie from this very host alone, so neither a
// subdomain nor somebody on the way can plant one.
func hostCookie(r *http.Request, name string) string {
	if !secure(r) || strings.HasPrefix(name, "__") {
		return name
	}
	return "__Host-" + name
}

// secure tells whether the browser came by TLS, ended here or at a proxy. A
// browser that lies about it only hurts itself.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}
