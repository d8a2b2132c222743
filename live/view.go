package live

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"lastmile/live/internal/engine"
)

// ViewConfig tunes a View. The zero value is ready for production.
type ViewConfig struct {
	// Title is the document's title when the template has no
	// {{define "title"}}. Defaults to the view's name.
	Title string
	// Lang is the document's language. Defaults to "en".
	Lang string
	// Layout is the document around the page, executed with a Page. Defaults
	// to a plain one.
	Layout *template.Template
	// PushOnly names actions that a browser must not call: pushes, topics and
	// the program itself still may. Without it a browser may send any action
	// with any data, as with any form. Defaults to none.
	PushOnly []string

	// NoTyped prints all values through html/template's own escapers, and NoMemo
	// renders all rows of a list again, also those that did not change. What is
	// sent is the same either way. They default to false.
	NoTyped, NoMemo bool
	// Shared renders the page once for all connections whose states are equal,
	// where a topic changes what many of them show. It asks one thing of the
	// application: the page must depend on nothing but the state. If a function
	// that Pure names looks at anything else (the session, a clock, a global),
	// a connection is sent the page of another: a stranger's. Defaults to false:
	// each connection's page is rendered for itself.
	Shared bool
	// Pure names functions of the template and methods of the state whose
	// results, with all that the template calls on them, depend on nothing but
	// their arguments and receivers: no clock, no randomness, no data from
	// elsewhere. A row that calls a function which is not named is always
	// rendered again. With Shared, a page that calls one, or a method, or shows
	// the address of something, is not shared, and the log says why. Defaults to
	// none.
	Pure []string
}

// Page is what a layout is executed with.
type Page struct {
	// Title and Lang are the document's.
	Title, Lang string
	// View is the view's name.
	View string
	// UserID is the signed-in user, or empty, and Request is the request that the
	// page answers.
	UserID  string
	Request Request
	// State is the view's state as Content shows it. What the layout makes of it
	// stays as it is until the page is loaded again.
	State any
	// Head belongs into the document's head: it loads the client.
	Head template.HTML
	// Content belongs into the document's body: the page itself.
	Content template.HTML
	// Flashes are messages to show once. A live page adds later ones to the
	// element with the ID "live-flash".
	Flashes []Flash
}

// View is one page of an application: a controller, a state and a template
// behind one address. As an http.Handler it serves all of it: the page (GET),
// its forms without JavaScript (POST), its WebSocket and its assets, so it works
// under any router, below any path and behind any middleware that keeps Hijack.
// It is safe for concurrent use.
type View[S any] struct{ page *page }

// Name returns the view's name.
func (v *View[S]) Name() string { return v.page.name }

// Diagnostics lists the parts of the template that cannot be patched part by part
// and are sent whole when anything in them changes, each with template name, line
// and reason. NewView warns about them; livetest.Regular fails a test on them.
// With Config.Dev it also has the rows with the same key that were met so far.
func (v *View[S]) Diagnostics() []string { return v.page.set.Diagnostics() }

// ServeHTTP serves the page, its forms, its connections and its assets.
func (v *View[S]) ServeHTTP(w http.ResponseWriter, r *http.Request) { v.page.serve(w, r) }

// page is a View without its type parameter.
type page struct {
	hub      *Hub
	name     string
	cfg      ViewConfig
	model    *model
	set      *engine.Set
	title    *template.Template // nil when the template defines none
	pushOnly map[string]bool
	disables bool // the template has live-disable
	assets   *assets
}

// maxViewLen bounds a view's name, in bytes.
const maxViewLen = 64

// NewView makes the page that controller's methods and tmpl describe, and
// registers it with the hub under name, which must be the same on every node.
// Actions are the controller's exported methods
//
//	func(S, *Context) (S, error)
//
// A method that mentions S or *Context in another way is an error, as is a
// state that does not survive JSON. Five names are special: Mount, called for
// every first page and every connection without a saved state, OnConnect, called
// for each WebSocket, OnLoad, which fills the fields tagged `live:"load"`, OnURL,
// which follows the page's address (Context.PatchURL), all with that signature, and OnDisconnect, which is func(S, *Context). The template's dot is S. initial is copied.
func NewView[S any](hub *Hub, name string, controller any, initial S, tmpl *template.Template, cfg ViewConfig) (*View[S], error) {
	switch {
	case hub == nil:
		return nil, errors.New("live: NewView: no hub")
	case tmpl == nil:
		return nil, fmt.Errorf("live: view %q: no template", name)
	case name == "" || len(name) > maxViewLen || strings.ContainsFunc(name, unicode.IsControl):
		return nil, fmt.Errorf("live: view name %q: want 1 to %d printable bytes", name, maxViewLen)
	}
	m, err := newModel(controller, initial)
	if err != nil {
		return nil, fmt.Errorf("live: view %q: %w", name, err)
	}
	p := &page{hub: hub, name: name, cfg: cfg, model: m, pushOnly: map[string]bool{}}
	m.misfit = func(field string, err error) {
		hub.metrics.misfits.Inc()
		hub.log.Error("stored persisted field does not fit its type, left out", "view", name, "field", field, "error", err)
	}
	if err := p.prepare(tmpl, reflect.TypeFor[S]()); err != nil {
		return nil, fmt.Errorf("live: view %q: %w", name, err)
	}
	if err := hub.register(p); err != nil {
		return nil, err
	}
	return &View[S]{p}, nil
}

// prepare compiles the templates and checks the configuration.
func (p *page) prepare(tmpl *template.Template, state reflect.Type) (err error) {
	for _, name := range p.cfg.PushOnly {
		if p.model.actions[name] == nil {
			return fmt.Errorf("PushOnly: the controller has no action %q", name)
		}
		p.pushOnly[name] = true
	}
	if p.cfg.Title == "" {
		p.cfg.Title = p.name
	}
	if p.cfg.Lang == "" {
		p.cfg.Lang = "en"
	}
	if tmpl.Lookup("title") != nil {
		// Executing escapes a template for good, so the title has its own copy.
		copied, err := tmpl.Clone()
		if err != nil {
			return err
		}
		p.title = copied.Lookup("title")
	}
	p.set, err = engine.Compile(tmpl, state, engine.Options{
		Dev: p.hub.cfg.Dev, NoTyped: p.cfg.NoTyped, NoMemo: p.cfg.NoMemo, Shared: p.cfg.Shared, Pure: p.cfg.Pure,
	})
	if err != nil {
		return err
	}
	if err := p.checkTags(); err != nil {
		return err
	}
	if why := p.set.Unshared(); why != "" {
		p.hub.log.Warn("renders are not shared", "view", p.name, "reason", why)
	}
	for _, d := range p.set.Diagnostics() {
		p.hub.metrics.irregular.WithLabelValues(p.name).Inc()
		p.hub.log.Warn("part of the page is sent whole when anything in it changes", "view", p.name, "part", d)
	}
	layout := p.cfg.Layout
	if layout == nil {
		layout = template.Must(template.New("layout").Parse(defaultLayout))
	}
	// A layout that the program uses elsewhere must stay as it is; one that
	// has been executed can only be used as it is.
	if p.cfg.Layout, err = layout.Clone(); err != nil {
		p.cfg.Layout = layout
	}
	p.assets, err = newAssets(p.set)
	return err
}

// documentTitle renders the title for a state.
func (p *page) documentTitle(state any) string {
	if p.title == nil {
		return p.cfg.Title
	}
	var b bytes.Buffer
	if err := p.title.Execute(&b, state); err != nil {
		p.hub.metrics.renderErrs.Inc()
		p.hub.log.Warn("title failed", "view", p.name, "error", err)
		return p.cfg.Title
	}
	return strings.TrimSpace(html.UnescapeString(b.String()))
}

// serve tells apart what a view's address serves.
func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	live := r.URL.Query().Get(queryLive)
	switch {
	case live == askLane:
		p.serveLane(w, r)
	case live == askSend:
		p.serveSend(w, r)
	case live != "":
		p.serveAsset(w, r, live)
	case upgrades(r):
		p.serveSocket(w, r)
	case r.Method == http.MethodPost:
		p.serveForm(w, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		p.servePage(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// upgrades tells a request for a WebSocket.
func upgrades(r *http.Request) bool {
	return r.Method == http.MethodGet && slices.ContainsFunc(r.Header.Values("Upgrade"), func(v string) bool {
		return strings.EqualFold(strings.TrimSpace(v), "websocket")
	})
}

const defaultLayout = `<!doctype html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
{{.Head}}
</head>
<body>
<div id="live-flash" role="status" aria-live="polite">{{range .Flashes}}<p class="live-flash live-flash-{{.Kind}}">{{.Text}}</p>{{end}}</div>
<div id="live-notice" role="status" aria-live="polite" hidden></div>
{{.Content}}
</body>
</html>
`
