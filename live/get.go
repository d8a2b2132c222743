package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lastmile/push"
)

// dataLive is the container's data-live attribute, for the client.
type dataLive struct {
	View      string `json:"view"`
	Token     string `json:"token"`
	Hash      string `json:"hash"`
	Manifest  string `json:"manifest"`
	Lane      string `json:"lane"`
	Dev       bool   `json:"dev,omitempty"`
	Heartbeat int64  `json:"heartbeat,omitempty"`
}

// servePage answers a GET with the whole document.
func (p *page) servePage(w http.ResponseWriter, r *http.Request) {
	id, err := p.hub.identify(w, r)
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	// What the page says is for this browser, now. Browsers may keep it for Back:
	// no-store would keep it out of the back/forward cache.
	w.Header().Set("Cache-Control", "private, no-cache")
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		return
	}
	who := &visitor{Identity: id, view: p.name, conn: push.NewID(), request: keepRequest(r)}
	m, err := p.open(r.Context(), who, "page")
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	if to := m.fx.patch.patched(r); to != "" && m.fx.navigate == nil {
		// All that mounting did comes again with the page at that address.
		p.hub.setFlashCookie(w, r, slices.Concat(p.hub.takeFlashCookie(w, r), m.rejected))
		http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // the request's own path, and a query that PatchURL has checked
		return
	}
	flashes := slices.Concat(p.hub.takeFlashCookie(w, r), m.rejected, m.fx.flashes)
	if n := m.fx.navigate; n != nil {
		p.sendOff(r.Context(), who, m)
		p.hub.setFlashCookie(w, r, flashes)
		http.Redirect(w, r, n.URL, http.StatusSeeOther)
		return
	}
	document, err := p.document(r.Context(), who, m, flashes)
	if err != nil {
		p.hub.fail(w, r, p.name, err)
		return
	}
	p.hub.publish(r.Context(), m.fx.publishes)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(document)))
	_, _ = w.Write([]byte(document)) // a browser that has left comes back
}

// sendOff is done with a page that is not shown: Mount, or a pending push,
// sends the browser elsewhere.
func (p *page) sendOff(ctx context.Context, who *visitor, m *mounted) {
	if m.sentOff != nil {
		if err := p.hub.deps.Node.Ack(ctx, who.Session, m.sentOff.Ack); err != nil {
			p.hub.log.WarnContext(ctx, "acknowledgement failed, the push comes again", "session", push.Redact(who.Session), "view", p.name, "error", err)
		}
	}
	p.hub.publish(ctx, m.fx.publishes)
}

// document renders the page and keeps its state for the WebSocket.
func (p *page) document(ctx context.Context, who *visitor, m *mounted, flashes []Flash) (string, error) {
	tree := p.set.NewView()
	content, err := tree.HTML(nil, m.State)
	if err != nil {
		p.hub.metrics.renderErrs.Inc()
		return "", fmt.Errorf("live: render %q: %w", p.name, err)
	}
	who.subscribed(m.fx.topics)
	state, err := encodeConn(m.Encoded, connExtras{
		Topics: topicList(who.topics), Owed: m.Receipt(), Applied: m.IDs.Encode(), Events: m.fx.events,
	})
	if err != nil {
		return "", err
	}
	if err := p.keep(ctx, who, m, state); err != nil {
		return "", err
	}
	container, err := p.container(who, m, content, hashText(tree.Hash()))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = p.cfg.Layout.Execute(&b, Page{
		Title: p.documentTitle(m.State), Lang: p.cfg.Lang, View: p.name, Flashes: flashes,
		UserID: who.UserID, Request: who.request, State: m.State,
		Head:    p.head(),
		Content: container,
	})
	if err != nil {
		p.hub.metrics.renderErrs.Inc()
		return "", fmt.Errorf("live: layout of %q: %w", p.name, err)
	}
	return based(b.String(), who.request.public), nil
}

// keep stores the page for the connection that its script opens. Of a stranger's
// nothing is stored when the store is nearly full: it mounts anew when there is
// room for its connection.
func (p *page) keep(ctx context.Context, who *visitor, m *mounted, state []byte) error {
	if !p.hub.room.lets(who.Identity) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.hub.cfg.StoreTimeout)
	defer cancel()
	err := p.hub.deps.States.CreateConn(ctx, push.ConnRecord{
		Session: who.Session, Conn: who.conn, View: p.name, State: state, Cursor: m.Cursor, Epoch: m.Epoch,
	}, p.hub.cfg.FirstTTL)
	if err != nil {
		return fmt.Errorf("live: store connection: %w", err)
	}
	return nil
}

// ownAsset begins the attribute that names an asset of the page, relative to it:
// what a proxy has put before its path is not known here.
const ownAsset = `src="?` + queryLive + `=`

// based keeps the page's own assets where they are when the layout has a <base>,
// which every address behind it would go by.
func based(document, path string) string {
	for at := 0; ; {
		i := strings.IndexByte(document[at:], '<')
		if i < 0 || strings.HasPrefix(document[at+i:], containerTag) {
			return document
		}
		at += i + 1
		if len(document)-at > 4 && strings.EqualFold(document[at:at+4], "base") && strings.IndexByte(" \t\n\f\r/", document[at+4]) >= 0 {
			return document[:at] + strings.ReplaceAll(document[at:], ownAsset, `src="`+template.HTMLEscapeString(path)+ownAsset[len(`src="`):])
		}
	}
}

// head loads the client.
func (p *page) head() template.HTML {
	head := `<script defer ` + ownAsset + p.assets.script + `"></script>`
	if p.model.onURL != nil {
		head += `<script type="module" ` + ownAsset + p.assets.address + `"></script>`
	}
	if p.disables {
		head += `<script type="module" ` + ownAsset + p.assets.disable + `"></script>`
	}
	return template.HTML(head) //nolint:gosec // constants and hex hashes
}

// containerTag begins the element that holds a page.
const containerTag = `<div id="live"`

// container wraps the content for the client, and lets a browser without
// JavaScript acknowledge what it shows.
func (p *page) container(who *visitor, m *mounted, content []byte, hash string) (template.HTML, error) {
	data, err := json.Marshal(dataLive{
		View: p.name, Token: p.hub.connToken(who.conn, who.Identity, p.name), Hash: hash,
		Manifest: p.set.Fingerprint(), Lane: p.assets.lane, Dev: p.hub.cfg.Dev, Heartbeat: p.hub.cfg.Heartbeat.Milliseconds(),
	})
	if err != nil {
		return "", fmt.Errorf("live: encode page data: %w", err)
	}
	var b strings.Builder
	b.WriteString(containerTag)
	b.WriteString(` data-live="`)
	b.WriteString(template.HTMLEscapeString(string(data)))
	b.WriteString(`">`)
	b.Write(content)
	b.WriteString(`</div>`)
	if r := m.Receipt(); r != nil {
		token, err := p.hub.ackToken(who.Identity, p.name, *r)
		if err != nil {
			return "", err
		}
		b.WriteString(`<noscript><img alt="" width="1" height="1" ` + ownAsset + `ack&amp;` + queryToken + `=` + token + `"></noscript>`)
	}
	return template.HTML(b.String()), nil //nolint:gosec // html/template wrote the content; the rest is escaped above
}

// fail answers a request that cannot be served. The text tells nothing of the
// inside unless the program is in development.
func (h *Hub) fail(w http.ResponseWriter, r *http.Request, view string, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrIdentityUnknown), errors.Is(err, errFull):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	case errors.Is(err, ErrUnidentified):
		status = http.StatusUnauthorized
	case errors.Is(err, push.ErrSessionClosed):
		status = http.StatusGone
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return // nobody is there to read an answer
	}
	if status == http.StatusInternalServerError {
		h.log.ErrorContext(r.Context(), "page failed", "view", view, "error", err)
	}
	text := http.StatusText(status)
	if h.cfg.Dev {
		text += "\n\n" + err.Error()
	}
	http.Error(w, text, status)
}

// hashText is the wire form of a tree's hash.
func hashText(hash uint64) string { return strconv.FormatUint(hash, 16) }

// pageAddress is the page's own address as a local path, to go back to.
func pageAddress(r *http.Request) string {
	path := publicPath(r)
	if q := publicURL(r).RawQuery; q != "" {
		path += "?" + q
	}
	return path
}

// publicPath is the page's path as the browser has it.
func publicPath(r *http.Request) string {
	return "/" + strings.TrimLeft(publicURL(r).EscapedPath(), `/\`)
}

func publicURL(r *http.Request) *url.URL {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil { // r.URL may have lost a prefix
		return u
	}
	return r.URL
}
