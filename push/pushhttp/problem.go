package pushhttp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// problem is an answer that says what was wrong, in the form of RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// ID names the push that it is about.
	ID string `json:"id,omitempty"`

	retry time.Duration // the header Retry-After, in whole seconds
}

// newProblem is of the type urn:lastmile:<kind>.
func newProblem(status int, kind, detail string) *problem {
	return &problem{Type: "urn:lastmile:" + kind, Title: http.StatusText(status), Status: status, Detail: detail}
}

// again says when the request may be repeated.
func (p *problem) again(after time.Duration) *problem {
	p.retry = after
	return p
}

// write answers a request. What comes back to libraries that put the body of any
// answer into the page is empty: for those 204 means no.
func (p *problem) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodGet && (r.Header.Get("HX-Request") != "" || r.Header.Get("Datastar-Request") != "") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, int(p.retry.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // whoever asked may have left
}

// writeJSON answers a request with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked may have left
}
