package pushhttp

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lastmile/push"
)

// caller is who a request is from, and what it may read.
type caller struct {
	session string
	only    filter    // what it wants to read; none means all
	topics  []string  // what it follows besides
	expires time.Time // of its token; zero without one
	// render is Config.Render for a reader of fragments.
	render func(push.Entry) (html string, ok bool)
}

// protocol is the WebSocket subprotocol; bearerProtocol begins the one that
// carries a token, since a browser's socket has no headers.
const (
	protocol       = "lastmile.push"
	bearerProtocol = "bearer."
)

// bearer returns the token of a request.
func bearer(r *http.Request) (string, bool) {
	if kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		return strings.TrimSpace(token), true
	}
	for list := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		if token, ok := strings.CutPrefix(strings.TrimSpace(list), bearerProtocol); ok {
			return token, true
		}
	}
	return "", false
}

// identify names the session of a reader's request and what it wants of it.
func (h *Handler) identify(w http.ResponseWriter, r *http.Request) (caller, *problem) {
	only, err := newFilter(r.URL.Query().Get("actions"))
	if err != nil {
		return caller{}, newProblem(http.StatusBadRequest, "actions", err.Error())
	}
	who := caller{only: only}
	if token, ok := bearer(r); ok {
		p, err := h.keys.unseal(token)
		if err != nil {
			return caller{}, newProblem(http.StatusUnauthorized, "token", "The token is not valid, or not any more.")
		}
		who.session, who.expires = p.Session, time.Unix(p.Expires, 0)
		if p := who.narrow(p.Actions); p != nil {
			return caller{}, p
		}
	} else if p := h.authenticate(w, r, &who); p != nil {
		return caller{}, p
	}
	topics, p := h.topicsOf(r, who.session)
	if p != nil {
		return caller{}, p
	}
	who.topics = topics
	if h.cfg.RequireActions && len(who.only) == 0 {
		return caller{}, newProblem(http.StatusBadRequest, "actions", "Name the actions to read: ?actions=Name,Other.")
	}
	return who, nil
}

func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request, who *caller) *problem {
	session, err := h.Session(w, r)
	switch {
	case errors.Is(err, ErrUnavailable):
		return newProblem(http.StatusServiceUnavailable, "unavailable", "The session is not known at the moment.").again(2 * time.Second)
	case err != nil:
		h.cfg.Logger.DebugContext(r.Context(), "reader refused", "error", err)
		return newProblem(http.StatusUnauthorized, "session", "The request names no session.")
	}
	who.session = session
	return nil
}

// narrow leaves of what a reader wants what its token allows.
func (c *caller) narrow(allowed filter) *problem {
	if len(allowed) == 0 {
		return nil
	}
	if len(c.only) == 0 {
		c.only = allowed
	}
	for _, action := range c.only {
		if !allowed.wants(action) {
			return newProblem(http.StatusForbidden, "actions", "The token does not allow the action "+action+".")
		}
	}
	return nil
}

// admitOrigin refuses requests of foreign pages, which would come with the user's
// cookies, and tells browsers that the pages of allowed origins may read the
// answer. A reader's GET confirms what it names, so it is no harmless request.
func (h *Handler) admitOrigin(w http.ResponseWriter, r *http.Request) *problem {
	origin := r.Header.Get("Origin")
	allowed := origin != "" && h.origins[origin]
	if len(h.origins) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	if allowed {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		if site != "same-origin" && site != "none" {
			return newProblem(http.StatusForbidden, "origin", "Pages of another origin may not read or confirm.")
		}
		return nil
	}
	if origin == "" {
		return nil // no browser, or an old one on the page's own origin
	}
	if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
		return newProblem(http.StatusForbidden, "origin", "Pages of another origin may not read or confirm.")
	}
	return nil
}

// preflight answers a browser that asks before a request of another origin.
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request) {
	if p := h.admitOrigin(w, r); p != nil {
		p.write(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, Cache-Control")
	w.Header().Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
}
