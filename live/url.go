package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// onURL names the method that makes of a state what the page's address says.
const onURL = "OnURL"

// maxAddress bounds the addresses that PatchURL takes, in bytes.
const maxAddress = 2048

// patch is the page's address as it is to be from now on: its query with the
// question mark, or "". Replace adds no entry to the browser's history.
type patch struct {
	query   string
	replace bool
}

// addressEvent tells the page's own script, client/address.ts.
const addressEvent = "live:address"

// event is what the browser hears: [query], or [query, 1].
func (p patch) event() event {
	detail := []any{p.query}
	if p.replace {
		detail = append(detail, 1)
	}
	b, _ := json.Marshal(detail) // a string and a number
	return event{addressEvent, b}
}

// then returns what becomes of a patch that another one follows.
func (p *patch) then(later patch) *patch {
	later.replace = later.replace && (p == nil || p.replace)
	return &later
}

// PatchURL changes the page's address without leaving the page: its query, as
// "?page=2" or, to have none, "?". It may stand behind the page's own path. Behind
// the action the controller's OnURL runs with that address, as it does for
// whoever opens it, so the address is enough to come back to what is shown. The
// browser gets an entry in its history, unless Mount, OnConnect or OnURL patch.
// A form without JavaScript is sent to the address, and so is a first page whose
// Mount, OnURL or waiting pushes patch it.
func (c *Context) PatchURL(address string) error {
	query, err := c.patchable(address)
	if err != nil {
		return fmt.Errorf("%w: PatchURL: %w", ErrNavigate, err)
	}
	return c.affect(func(fx *effects) error {
		replace := c.inv.source == sourceMount || c.inv.source == sourceConnect || c.inv.action == onURL
		fx.patch = &patch{query, replace}
		return nil
	})
}

// patchable returns the query of an address, if the page may have that.
func (c *Context) patchable(address string) (string, error) {
	if c.page.model.onURL == nil {
		return "", fmt.Errorf("the controller has no %s, which back, forward and links need", onURL)
	}
	if len(address) > maxAddress {
		return "", fmt.Errorf("address of %d bytes, at most %d are allowed", len(address), maxAddress)
	}
	path, query, found := strings.Cut(address, "?")
	switch {
	case !localPath(address):
		return "", fmt.Errorf("address %q is not a path of this site", address)
	case path != "" && path != c.request.Path && path != c.request.public:
		return "", fmt.Errorf("address %q: the page's path is %s, only its query can be another; Navigate leaves the page", address, c.request.public)
	case strings.Contains(address, "#"):
		return "", fmt.Errorf("address %q: a fragment is not the server's to set", address)
	case !found || query == "":
		return "", nil
	}
	values, err := url.ParseQuery(query)
	switch {
	case err != nil:
		return "", fmt.Errorf("address %q: query: %w", address, err)
	case values.Has(queryLive):
		return "", fmt.Errorf("address %q: the query's key %s is taken", address, queryLive)
	case strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>`", r) }):
		query = values.Encode() // as a browser would, so that both call it the same
	}
	return "?" + query, nil
}

// at returns the visitor with the page's address changed.
func (v *visitor) at(query string) *visitor {
	w := *v
	w.request.RawQuery = strings.TrimPrefix(query, "?")
	return &w
}

// sameQuery compares queries by what they say.
func sameQuery(a, b string) bool {
	if a = strings.TrimPrefix(a, "?"); a == strings.TrimPrefix(b, "?") {
		return true
	}
	v, _ := url.ParseQuery(a) // what can be parsed is what counts
	w, _ := url.ParseQuery(strings.TrimPrefix(b, "?"))
	return v.Encode() == w.Encode()
}

// patched returns the address that a request's page has patched itself to, or "".
func (p *patch) patched(r *http.Request) string {
	if p == nil {
		return ""
	}
	address := pageAddress(r)
	path, query, _ := strings.Cut(address, "?")
	if sameQuery(query, p.query) {
		return ""
	}
	return path + p.query
}

// moveTo notes the address that the browser has, or is to have. The record keeps
// it: a frame may be lost.
func moveTo(c *conn, query string) {
	c.who.request.RawQuery = strings.TrimPrefix(query, "?")
	c.placed = &query
}

// moved reads the address of a browser that has gone back or forward.
func moved(data json.RawMessage) (string, error) {
	var to struct {
		Query string `json:"u"`
	}
	if err := json.Unmarshal(data, &to); err != nil {
		return "", fmt.Errorf("action %q: data: %w", onURL, err)
	}
	switch q := to.Query; {
	case len(q) > maxAddress:
		return "", fmt.Errorf("action %q: field \"u\" has %d bytes, at most %d are allowed", onURL, len(q), maxAddress)
	case q != "" && q[0] != '?':
		return "", fmt.Errorf("action %q: field \"u\": want a query or nothing", onURL)
	}
	return to.Query, nil
}

// nextMove runs OnURL for the browser's oldest message: it has gone back or
// forward, and says where it is.
func nextMove(ctx context.Context, c *conn, m message) bool {
	query, err := moved(m.Data)
	if err != nil {
		c.dropClick()
		c.refuse(frameError{Code: codeInvalid, Text: err.Error(), Number: m.Number, Action: m.Action})
		return true
	}
	if !c.session.BeforeClick(ctx) {
		return true
	}
	c.dropClick()
	moveTo(c, query)
	m.Data = nil
	c.click(ctx, m, func(state any, ctx *Context) (any, error) {
		// What the address is in the end: the browser may have been sent another
		// one meanwhile.
		if err := ctx.affect(func(fx *effects) error {
			fx.patch = &patch{query, true}
			return nil
		}); err != nil {
			return state, err
		}
		if h := c.page.model.onURL; h != nil {
			return h(state, ctx)
		}
		return state, nil // a script of the page's has moved it
	})
	return true
}
