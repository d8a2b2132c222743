package stream

import (
	"net/http"
	"net/url"
	"slices"
)

// The protocol's headers, as Go writes them.
const (
	headerNext       = "Stream-Next-Offset"
	headerCursor     = "Stream-Cursor"
	headerUpToDate   = "Stream-Up-To-Date"
	headerClosed     = "Stream-Closed"
	headerSeq        = "Stream-Seq"
	headerTTL        = "Stream-Ttl"
	headerExpires    = "Stream-Expires-At"
	headerEncoding   = "Stream-Sse-Data-Encoding"
	headerForkedFrom = "Stream-Forked-From"
	headerForkAt     = "Stream-Fork-Offset"
	headerForkSub    = "Stream-Fork-Sub-Offset"
	headerProducer   = "Producer-Id"
	headerEpoch      = "Producer-Epoch"
	headerNumber     = "Producer-Seq"
	headerExpected   = "Producer-Expected-Seq"
	headerReceived   = "Producer-Received-Seq"
)

const (
	allowHeaders = "Content-Type, Authorization, If-None-Match, Stream-Seq, Stream-TTL, Stream-Expires-At, Stream-Closed, " +
		"Producer-Id, Producer-Epoch, Producer-Seq, Stream-Forked-From, Stream-Fork-Offset, Stream-Fork-Sub-Offset"
	exposeHeaders = "Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, Stream-Closed, Stream-TTL, Stream-Expires-At, " +
		"Stream-SSE-Data-Encoding, Producer-Epoch, Producer-Seq, Producer-Expected-Seq, Producer-Received-Seq, ETag, Content-Type, Location"
)

// share lets pages of the allowed origins see the answer.
func (h *Handler) share(w http.ResponseWriter, r *http.Request) {
	out, origin := w.Header(), r.Header.Get("Origin")
	all, one := slices.Contains(h.cfg.AllowedOrigins, "*"), origin != "" && slices.Contains(h.cfg.AllowedOrigins, origin)
	policy := "same-origin"
	switch {
	case one:
		out.Set("Access-Control-Allow-Origin", origin)
		out.Set("Access-Control-Allow-Credentials", "true")
	case all:
		out.Set("Access-Control-Allow-Origin", "*")
	}
	if len(h.cfg.AllowedOrigins) > 0 {
		policy = "cross-origin"
		out.Add("Vary", "Origin")
	}
	out.Set("Cross-Origin-Resource-Policy", policy)
	if all || one {
		out.Set("Access-Control-Allow-Methods", methods)
		out.Set("Access-Control-Allow-Headers", allowHeaders)
		out.Set("Access-Control-Expose-Headers", exposeHeaders)
	}
}

// sameOrigin says whether a write may come from where it does. A page of any
// origin can send one with the user's cookies: then the origin has to be named.
func (h *Handler) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		site := r.Header.Get("Sec-Fetch-Site")
		return site == "" || site == "same-origin" || site == "none"
	}
	if slices.Contains(h.cfg.AllowedOrigins, origin) {
		return true
	}
	if u, err := url.Parse(origin); err == nil && u.Host == r.Host {
		return true
	}
	return slices.Contains(h.cfg.AllowedOrigins, "*") && r.Header.Get("Cookie") == ""
}
