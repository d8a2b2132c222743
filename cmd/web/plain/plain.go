// Package plain shows pushes in pages that are not live: by the browser's own
// EventSource and by push.js, and in a page each by htmx, Turbo, Datastar and React.
// Each page shows its source. The libraries lie in vendor, as package frontends of
// internal/tools writes them.
package plain

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"

	"lastmile/cmd/web/ui"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/pushhttp"
)

//go:embed *.html *.js react/page.jsx vendor
var files embed.FS

// action is what the page's readers ask for.
const action = "PlainSaid"

// maxText bounds a message, in bytes.
const maxText = 500

// Deps is what the page stands on.
type Deps struct {
	// Readers serves /push/.
	Readers   *pushhttp.Handler
	Publisher *push.Publisher
	UI        *ui.UI
}

// page is the page with what it is made of.
type page struct {
	deps Deps
	tmpl *template.Template
}

// Register adds the page, its scripts and its form to mux.
func Register(mux *http.ServeMux, d Deps) error {
	tmpl, err := template.ParseFS(files, "page.html", "frontend.html")
	if err != nil {
		return fmt.Errorf("plain: %w", err)
	}
	p := &page{deps: d, tmpl: tmpl}
	mux.HandleFunc("GET /plain", p.show)
	mux.HandleFunc("POST /plain", p.say)
	for _, f := range frontends() {
		show, err := p.showFrontend(f)
		if err != nil {
			return err
		}
		mux.HandleFunc("GET /plain/"+f.Key, show)
	}
	scripts, err := fs.Glob(files, "vendor/*.js")
	if err != nil {
		return fmt.Errorf("plain: %w", err)
	}
	for _, name := range append(scripts, "eventsource.js", "pushjs.js", "form.js", "htmx.js", "turbo.js") {
		mux.HandleFunc("GET /plain/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, name)
		})
	}
	return nil
}

// show serves the page of EventSource and push.js.
func (p *page) show(w http.ResponseWriter, r *http.Request) {
	p.serve(w, r, action, "Plain page", "page.html", func(cursor string) (any, error) {
		return map[string]any{"Cursor": cursor, "EventSource": source("eventsource.js"), "PushJS": source("pushjs.js"), "Others": frontends()}, nil
	})
}

// serve serves a page. The cursor is taken first: what is pushed while the page is
// made comes behind it.
func (p *page) serve(w http.ResponseWriter, r *http.Request, action, title, name string, data func(cursor string) (any, error)) {
	cursor, err := p.deps.Readers.Cursor(w, r, action)
	if err != nil {
		p.deps.UI.Write(w, r, ui.Message{
			Status: http.StatusServiceUnavailable, View: "plain", Heading: "Not now", Text: "The store does not answer. Try again in a moment.",
			Link: r.URL.Path, LinkText: "Try again",
		})
		return
	}
	var content, whole bytes.Buffer
	values, err := data(cursor)
	if err == nil {
		err = p.tmpl.ExecuteTemplate(&content, name, values)
	}
	if err == nil {
		err = p.deps.UI.Layout().Execute(&whole, live.Page{
			Title: title, Lang: "en", View: "plain", Content: template.HTML(content.String()), //nolint:gosec // html/template made it
		})
	}
	if err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = whole.WriteTo(w) // the browser is gone: nobody to tell
}

// say pushes what was typed, as any process could that knows the session.
func (p *page) say(w http.ResponseWriter, r *http.Request) {
	session, err := p.deps.Readers.Session(w, r)
	if err != nil {
		http.Error(w, "no session", http.StatusForbidden)
		return
	}
	text, to, back := r.FormValue("text"), action, "/plain"
	if key := r.FormValue("to"); key != "" {
		i := slices.IndexFunc(frontends(), func(f frontend) bool { return f.Key == key })
		if i < 0 {
			http.Error(w, "to is not one of the front ends", http.StatusBadRequest)
			return
		}
		to, back = frontends()[i].action, "/plain/"+frontends()[i].Key
	}
	if text == "" || len(text) > maxText {
		http.Error(w, "a text of 1 to 500 bytes is needed", http.StatusBadRequest)
		return
	}
	if _, err := p.deps.Publisher.Session(session).Trigger(r.Context(), to, map[string]any{"text": text}); err != nil {
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Accept") == "application/json" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
