package livetest

import (
	"encoding/json"
	"strings"
	"sync"
)

// history is a page's part of the browser's history. It is safe for concurrent
// use.
type history struct {
	mu      sync.Mutex
	entries []string
	now     int
}

// at returns the page's address.
func (h *history) at() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entries[h.now]
}

// patch does what the event about the address says: [query] or [query, 1].
func (h *history) patch(detail []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var to []any
	if json.Unmarshal(detail, &to) != nil || len(to) == 0 {
		return
	}
	path, _, _ := strings.Cut(h.entries[h.now], "?")
	query, _ := to[0].(string)
	address := path + query
	if address == h.entries[h.now] {
		return
	}
	if len(to) == 1 {
		h.now++
		h.entries = append(h.entries[:h.now], "")
	}
	h.entries[h.now] = address
}

// replace takes an address for the present one, if it differs in the query alone.
func (h *history) replace(address string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	path, _, _ := strings.Cut(h.entries[h.now], "?")
	other, _, _ := strings.Cut(address, "?")
	if path == other {
		h.entries[h.now] = address
	}
	return path == other
}

// move goes some entries on, and returns the query there, false past the ends.
func (h *history) move(by int) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to := h.now + by; to < 0 || to >= len(h.entries) {
		return "", false
	}
	h.now += by
	_, query, found := strings.Cut(h.entries[h.now], "?")
	if found {
		query = "?" + query
	}
	return query, true
}

// Address returns the page's address as the browser shows it: the one that it was
// loaded from, or what Context.PatchURL has made of it.
func (p *Page) Address() string { return p.history.at() }

// Back presses the browser's back button, and waits until OnURL has run. It fails
// the test where the page has no entry to go back to.
func (p *Page) Back() { p.t.Helper(); p.travel("back", -1) }

// Forward presses the browser's forward button likewise.
func (p *Page) Forward() { p.t.Helper(); p.travel("forward", 1) }

func (p *Page) travel(name string, by int) {
	p.t.Helper()
	query, ok := p.history.move(by)
	if !ok {
		p.t.Fatalf("livetest: %s from %s: the page has no more entries", name, p.Address())
	}
	if err := p.Try("OnURL", map[string]any{"u": query}); err != nil {
		p.t.Fatalf("livetest: %s to %s: %s: %s", name, p.Address(), err.Code, err.Message)
	}
}
