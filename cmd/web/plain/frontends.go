package plain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"

	"lastmile/push"
)

// frontend is a page whose pushes another library puts into it.
type frontend struct {
	Key, Name, Says string
	action          string   // what its readers ask for
	files           []string // its markup, then what else is its source
	render          *template.Template
	script, style   string // sources that its policy allows besides the site's own
}

// frontends are the pages, by their place below /plain/.
func frontends() []frontend {
	fragment := func(text string) *template.Template { return template.Must(template.New("fragment").Parse(text)) }
	return []frontend{
		{
			Key: "htmx", Name: "htmx 4", action: "HtmxSaid", files: []string{"htmx.html", "htmx.js"}, render: fragment(`<li>{{.text}}</li>`),
			Says: "The SSE extension reads the stream, swaps fragments in, closes it in a hidden tab, and replays what it missed by the last ID.",
		},
		{
			Key: "turbo", Name: "Turbo 8", action: "TurboSaid", files: []string{"turbo.html", "turbo.js"},
			render: fragment(`<turbo-stream action="append" target="list"><template><li>{{.text}}</li></template></turbo-stream>`),
			Says:   "The stream source is the browser's EventSource; each push is a turbo-stream element.",
			style:  "'sha256-WAyOw4V+FqDc35lQPyRADLBWbuNK8ahvYEaQIYF1+Ps='", // of its progress bar
		},
		{
			Key: "datastar", Name: "Datastar", action: "DatastarSaid", files: []string{"datastar.html"}, render: fragment(`<li>{{.text}}</li>`),
			Says: "Fragments come as Datastar's own events; the address says where they go. Datastar compiles its expressions, so this page alone allows " +
				"unsafe-eval.",
			script: "'unsafe-eval'",
		},
		{
			Key: "react", Name: "React 19", action: "ReactSaid", files: []string{"react.html", "react/page.jsx"},
			Says: "The hook useLastmile is push.js for components.",
		},
	}
}

// Render makes the fragments of pushes for the pages that swap them in:
// pushhttp.Config.Render.
func Render() func(e push.Entry) (html string, ok bool) {
	byAction := map[string]*template.Template{}
	for _, f := range frontends() {
		if f.render != nil {
			byAction[f.action] = f.render
		}
	}
	return func(e push.Entry) (string, bool) {
		tmpl := byAction[e.Action]
		if tmpl == nil {
			return "", false
		}
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return "", false
		}
		var b bytes.Buffer
		err := tmpl.Execute(&b, data)
		return b.String(), err == nil
	}
}

// source returns what the page shows of a front end's files.
func source(names ...string) string {
	var all bytes.Buffer
	for i, name := range names {
		text, _ := files.ReadFile(name) // embedded
		if i > 0 {
			all.WriteString("\n")
		}
		if len(names) > 1 {
			fmt.Fprintf(&all, "-- %s --\n", name)
		}
		all.Write(text)
	}
	return all.String()
}

// showFrontend serves the page of a front end.
func (p *page) showFrontend(f frontend) (http.HandlerFunc, error) {
	markup, err := template.ParseFS(files, f.files[0])
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	var others []frontend
	for _, o := range frontends() {
		if o.Key != f.Key {
			others = append(others, o)
		}
	}
	shown := ""
	if f.render != nil {
		shown = f.render.Tree.Root.String()
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if f.script != "" || f.style != "" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self' "+f.script+"; style-src 'self' "+f.style+
				"; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:")
		}
		p.serve(w, r, f.action, f.Name, "frontend.html", func(cursor string) (any, error) {
			var b bytes.Buffer
			err := markup.Execute(&b, cursor)
			return map[string]any{
				"Key": f.Key, "Name": f.Name, "Says": f.Says, "Others": others, "Source": source(f.files...), "Fragment": shown,
				"Markup": template.HTML(b.String()), //nolint:gosec // html/template made it
			}, err
		})
	}, nil
}
