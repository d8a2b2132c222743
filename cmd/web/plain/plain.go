// Package plain shows pushes in a page that is not live: by the browser's own
// EventSource, and by push.js. The page shows the source of both.
package plain

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"

	"lastmile/cmd/web/ui"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/pushhttp"
)

//go:embed page.html eventsource.js pushjs.js
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
	tmpl, err := template.ParseFS(files, "page.html")
	if err != nil {
		return fmt.Errorf("plain: %w", err)
	}
	p := &page{deps: d, tmpl: tmpl}
	mux.HandleFunc("GET /plain", p.show)
	mux.HandleFunc("POST /plain", p.say)
	for _, name := range []string{"eventsource.js", "pushjs.js"} {
		mux.HandleFunc("GET /plain/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, name)
		})
	}
	return nil
}

// show serves the page. The cursor is taken first: what is pushed while the page
// is made comes behind it.
func (p *page) show(w http.ResponseWriter, r *http.Request) {
	cursor, err := p.deps.Readers.Cursor(w, r, action)
	if err != nil {
		p.deps.UI.Write(w, r, ui.Message{
			Status: http.StatusServiceUnavailable, View: "plain", Heading: "Not now", Text: "The store does not answer. Try again in a moment.",
			Link: "/plain", LinkText: "Try again",
		})
		return
	}
	source := func(name string) string {
		text, _ := files.ReadFile(name)
		return string(text)
	}
	var content bytes.Buffer
	err = p.tmpl.Execute(&content, map[string]string{"Cursor": cursor, "EventSource": source("eventsource.js"), "PushJS": source("pushjs.js")})
	var whole bytes.Buffer
	if err == nil {
		err = p.deps.UI.Layout().Execute(&whole, live.Page{
			Title: "Plain page", Lang: "en", View: "plain", Content: template.HTML(content.String()), //nolint:gosec // html/template made it
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
	text := r.FormValue("text")
	if text == "" || len(text) > maxText {
		http.Error(w, "a text of 1 to 500 bytes is needed", http.StatusBadRequest)
		return
	}
	if _, err := p.deps.Publisher.Session(session).Trigger(r.Context(), action, map[string]any{"text": text}); err != nil {
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Accept") == "application/json" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, "/plain", http.StatusSeeOther)
}
