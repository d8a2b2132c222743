// Package guide shows the documentation: the guide, chapter by chapter, and what
// its chapters lead to. It is rendered when the program starts, and searched
// without a script.
package guide

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"lastmile/cmd/web/ui"
	"lastmile/live"
)

var (
	//go:embed guide.css
	css []byte
	//go:embed page.html
	pageHTML string
)

// Deps is what the pages stand on.
type Deps struct {
	// Docs are the files of package docs.
	Docs fs.FS
	UI   *ui.UI
	// Log defaults to slog.Default().
	Log *slog.Logger
}

// doc is a Markdown file as it is shown.
type doc struct {
	file     string // below docs
	path     string // where it is served
	title    string
	number   int // of a chapter, or 0
	content  template.HTML
	sections []section
}

// guide is all of them: the chapters in order, and then the others.
type guide struct {
	deps Deps
	tmpl *template.Template
	docs []*doc
}

// home is where the guide begins, in the files and as an address.
const (
	homeFile = "guide/README.md"
	homePath = "/guide/"
)

// decisions is where the records of decisions are.
const decisions = "adr/"

// Register renders the documents and adds their pages to mux, below /guide/.
func Register(mux *http.ServeMux, d Deps) error {
	d.Log = cmp.Or(d.Log, slog.Default())
	tmpl, err := template.New("page.html").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("guide: %w", err)
	}
	g := &guide{deps: d, tmpl: tmpl}
	if err := g.read(); err != nil {
		return err
	}
	for _, doc := range g.docs {
		pattern := "GET " + doc.path
		if doc.path == homePath {
			pattern += "{$}"
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { g.show(w, r, doc) })
	}
	mux.Handle("GET /guide", http.RedirectHandler(homePath, http.StatusMovedPermanently))
	mux.HandleFunc("GET /guide/guide.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(css) // the browser is gone: nobody to tell
	})
	return nil
}

// read renders all documents.
func (g *guide) read() error {
	err := fs.WalkDir(g.deps.Docs, ".", func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path.Ext(file) == ".md" {
			g.docs = append(g.docs, &doc{file: file, path: address(file), number: number(file)})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("guide: %w", err)
	}
	if g.find(homeFile) == nil {
		return errors.New("guide: there is no " + homeFile)
	}
	for _, d := range g.docs {
		source, err := fs.ReadFile(g.deps.Docs, d.file)
		if err != nil {
			return fmt.Errorf("guide: %w", err)
		}
		if err := g.render(d, source); err != nil {
			return fmt.Errorf("guide: %s: %w", d.file, err)
		}
	}
	slices.SortStableFunc(g.docs, func(a, b *doc) int { return cmp.Compare(rank(a), rank(b)) })
	return nil
}

// rank puts the contents first, then the chapters, then the others.
func rank(d *doc) int {
	switch {
	case d.file == homeFile:
		return 0
	case d.number > 0:
		return d.number
	default:
		return 1 << 20
	}
}

// number is that of a chapter, or 0.
func number(file string) int {
	dir, base := path.Split(file)
	prefix, _, _ := strings.Cut(base, "-")
	n, err := strconv.Atoi(prefix)
	if dir != "guide/" || err != nil {
		return 0
	}
	return n
}

// address is where a file is shown.
func address(file string) string {
	name := strings.TrimSuffix(file, ".md")
	switch {
	case file == homeFile:
		return homePath
	case strings.HasPrefix(name, "guide/"):
		return "/" + name
	default:
		return homePath + "docs/" + name
	}
}

// find returns the document of a file, or nil.
func (g *guide) find(file string) *doc {
	i := slices.IndexFunc(g.docs, func(d *doc) bool { return d.file == file })
	if i < 0 {
		return nil
	}
	return g.docs[i]
}

// link is a link to a document.
type link struct {
	Path, Title string
	Here        bool
}

// shown is what page.html is executed with.
type shown struct {
	Query    string
	Searched bool
	Results  []result
	Chapters []link
	Content  template.HTML
	Before   link
	Next     link
}

// show serves a document, or what a search found.
func (g *guide) show(w http.ResponseWriter, r *http.Request, d *doc) {
	page, title := shown{Content: d.content}, d.title
	if query := r.URL.Query(); d.path == homePath && query.Has("q") {
		page.Query, page.Searched = clip(query.Get("q"), maxQuery), true
		page.Results, title = g.search(page.Query), "Search"
	}
	var chapters []*doc
	for _, c := range g.docs {
		if c.number > 0 {
			chapters = append(chapters, c)
			page.Chapters = append(page.Chapters, link{c.path, c.title, c == d})
		}
	}
	if i := slices.Index(chapters, d); i >= 0 || d.path == homePath {
		if i > 0 {
			page.Before = link{chapters[i-1].path, chapters[i-1].title, false}
		}
		if i+1 < len(chapters) {
			page.Next = link{chapters[i+1].path, chapters[i+1].title, false}
		}
	}
	var content, whole bytes.Buffer
	err := g.tmpl.Execute(&content, page)
	if err == nil {
		err = g.deps.UI.Layout().Execute(&whole, live.Page{
			Title: title, Lang: "en", View: "guide", Head: `<link rel="stylesheet" href="/guide/guide.css">`,
			Content: template.HTML(content.String()), //nolint:gosec // html/template made it
		})
	}
	if err != nil {
		g.deps.Log.ErrorContext(r.Context(), "page of the guide failed", "file", d.file, "error", err)
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = whole.WriteTo(w) // the browser is gone: nobody to tell
}
