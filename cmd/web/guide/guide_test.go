package guide_test

import (
	"html"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"lastmile/cmd/web/guide"
	"lastmile/cmd/web/ui"
	"lastmile/docs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site serves the documents.
func site(t *testing.T, files fs.FS) http.Handler {
	t.Helper()
	u, err := ui.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	if err := guide.Register(mux, guide.Deps{Docs: files, UI: u}); err != nil {
		t.Fatal(err)
	}
	return mux
}

// get returns the status and the body of a page.
func get(t *testing.T, h http.Handler, address string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody))
	return w.Code, w.Body.String()
}

var (
	href   = regexp.MustCompile(`<a [^>]*href="([^"]*)"`)
	anchor = regexp.MustCompile(` id="([^"]*)"`)
)

// TestEveryPage walks from the contents to all that they lead to: each page is
// there, and each link within them leads to a heading that exists.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	h := site(t, docs.Files)
	bodies, todo := map[string]string{}, []string{"/guide/"}
	type link struct{ from, to, fragment string }
	var links []link
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if _, seen := bodies[at]; seen {
			continue
		}
		status, body := get(t, h, at)
		bodies[at] = body
		if status != http.StatusOK {
			t.Errorf("%s: status %d", at, status)
		}
		for _, m := range href.FindAllStringSubmatch(body, -1) {
			u, err := url.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Errorf("%s: %v", at, err)
				continue
			}
			if u.Host != "" || u.Path != "" && !strings.HasPrefix(u.Path, "/guide/") || u.Fragment == "main" {
				if u.Host == "" && !strings.HasPrefix(u.Path, "/") && u.Fragment != "main" {
					t.Errorf("%s: a link to %q leads nowhere", at, m[1])
				}
				continue
			}
			to := u.Path
			if to == "" {
				to = at
			}
			todo = append(todo, to)
			links = append(links, link{at, to, u.Fragment})
		}
	}
	for _, l := range links {
		has := l.fragment == ""
		for _, m := range anchor.FindAllStringSubmatch(bodies[l.to], -1) {
			has = has || m[1] == l.fragment
		}
		if !has {
			t.Errorf("%s: %s has no heading %q", l.from, l.to, l.fragment)
		}
	}
	chapters, err := fs.Glob(docs.Files, "guide/*-*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chapters {
		if bodies["/guide/"+strings.TrimSuffix(path.Base(c), ".md")] == "" {
			t.Errorf("nothing leads to %s", c)
		}
	}
	if len(chapters) < 10 || len(links) < 50 {
		t.Errorf("%d chapters, %d links", len(chapters), len(links))
	}
}

// small is a guide of two chapters, with what must not come through.
func small() fs.FS {
	return fstest.MapFS{
		"guide/README.md": {Data: []byte("# Guide\n\n1. [One](1-one.md)\n")},
		"guide/1-one.md": {Data: []byte("# 1. One\n\nFirst <script>alert(1)</script> & [two](2-two.md#a-b-c), [code](../../main.go), [bad](javascript:alert(1)), ![p](x.png).\n\n" +
			"## Twice\n\n```go\nif a < b && c {\n```\n\n## Twice\n\n<div onclick=\"x\">raw</div>\n\n| a | b |\n|---|---|\n| ärger | `x` |\n")},
		"guide/2-two.md":  {Data: []byte("# 2. Two\n\n## A, b: `c`\n\nneedle [back](1-one.md#twice-1) [home](README.md) [more](../other.md)\n")},
		"guide/10-ten.md": {Data: []byte("# 10. Ten\n\nLast. Needle here too.\n")},
		"other.md":        {Data: []byte("# Other\n\n" + strings.Repeat("padding ", 100) + "Needle " + strings.Repeat("padding ", 100) + "\n")},
	}
}

// Nothing of the source becomes markup but what Markdown says.
func TestRendering(t *testing.T) {
	t.Parallel()
	h := site(t, small())
	_, one := get(t, h, "/guide/1-one")
	for _, want := range []string{
		`href="/guide/2-two#a-b-c"`, `id="twice"`, `id="twice-1"`, "if a &lt; b &amp;&amp; c {", "code, bad, p.", `<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>`,
		`rel="next" href="/guide/2-two"`, `<a href="/guide/1-one" aria-current="page">1. One</a>`, "<title>1. One",
	} {
		if !strings.Contains(one, want) {
			t.Errorf("no %s in\n%s", want, one)
		}
	}
	for _, bad := range []string{"<script>", "onclick", "javascript:", "main.go", `rel="prev"`, "<img"} {
		if strings.Contains(one, bad) {
			t.Errorf("%s in\n%s", bad, one)
		}
	}
	_, two := get(t, h, "/guide/2-two")
	for _, want := range []string{`rel="next" href="/guide/10-ten"`, `rel="prev" href="/guide/1-one"`, `href="/guide/docs/other"`, `href="/guide/1-one#twice-1"`, `href="/guide/"`} {
		if !strings.Contains(two, want) {
			t.Errorf("no %s in\n%s", want, two)
		}
	}
	for _, address := range []string{"/guide/none", "/guide/README", "/guide/docs/guide/1-one"} {
		if status, _ := get(t, h, address); status != http.StatusNotFound {
			t.Errorf("%s: %d", address, status)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	h := site(t, small())
	for _, tt := range []struct{ query, want string }{
		{"needle", "/guide/2-two#a-b-c /guide/10-ten#10-ten /guide/docs/other#other"},
		{"NEEDLE two", "/guide/2-two#a-b-c"},
		{"Twice", "/guide/1-one#twice /guide/1-one#twice-1"},
		{"b && c", "/guide/1-one#twice"},
		{"Ärger", "/guide/1-one#twice-1"},
		{"ten", "/guide/10-ten#10-ten"},
		{"nothing at all", ""},
		{"  ", ""},
		{"", ""},
		{strings.Repeat("ä", 300), ""},
		{"\x00\xff", ""},
	} {
		status, page := get(t, h, "/guide/?"+url.Values{"q": {tt.query}}.Encode())
		if status != http.StatusOK {
			t.Errorf("%q: status %d", tt.query, status)
		}
		_, results, _ := strings.Cut(page, `<ol class="list results">`)
		var got []string
		for _, m := range href.FindAllStringSubmatch(results, -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: found %q, want %q", tt.query, got, tt.want)
		}
	}
	if _, page := get(t, h, "/guide/?q="+url.QueryEscape(`"><script>alert(1)</script>`)); strings.Contains(page, "<script") {
		t.Errorf("the query comes through:\n%s", page)
	}
	_, page := get(t, h, "/guide/?q=needle")
	if !strings.Contains(page, "<mark>needle</mark>") || !strings.Contains(page, `value="needle"`) || strings.Count(page, "padding") > 40 {
		t.Errorf("the excerpts:\n%s", page)
	}
}
