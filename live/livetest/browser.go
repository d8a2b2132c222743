// Package livetest opens live pages in a test without a browser: the handler
// runs in this process, over pipes, also inside a testing/synctest bubble.
//
//	func TestCounter(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			livetest.Run(t, node.Run, hub.Run)
//			page := livetest.Open(t, view, "/counter")
//			page.Click("#increment", nil)
//			page.WaitText("1")
//		})
//	}
//
// A Page applies patches with a model of the browser's client; what only a
// browser does (focus, typing, scripts) is not in it.
package livetest

import (
	"context"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// origin is where all pages of a test live.
const origin = "http://live.test"

// Run runs what has to run beside the pages (a hub's Run, a node's Run) until
// the test ends. It stops them in reverse order, each before the next, and
// fails the test when one returns an error.
func Run(t testing.TB, runs ...func(context.Context) error) {
	t.Helper()
	for _, run := range runs {
		Start(t, run)
	}
}

// Start is Run for one; the returned function stops it early and waits.
func Start(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ctx = context.WithoutCancel(ctx) // the test's context ends before its cleanups
	ctx, end := context.WithCancel(ctx)
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			t.Errorf("livetest: run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		end()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

// Browser is a cookie jar: its pages share a session.
type Browser struct {
	t     testing.TB
	jar   http.CookieJar
	lanes bool
	nodes []http.Handler
}

// NewBrowser returns a browser without cookies.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatalf("livetest: cookie jar: %v", err)
	}
	return &Browser{t: t, jar: jar}
}

// WithoutWebSockets has the pages that connect from now on do so as where
// WebSockets do not pass. Their messages go to the node that they connect to, or to
// the nodes in turn, as behind a load balancer.
func (b *Browser) WithoutWebSockets(nodes ...http.Handler) { b.lanes, b.nodes = true, nodes }

// Open opens a live page in a browser of its own. See Browser.Open.
func Open(t testing.TB, h http.Handler, path string) *Page {
	t.Helper()
	return NewBrowser(t).Open(h, path)
}

// Do sends a request, with the browser's cookies, and returns the response with
// its body read. Redirects are not followed.
func (b *Browser) Do(h http.Handler, r *http.Request) (*http.Response, string) {
	b.t.Helper()
	client := &http.Client{
		Transport: transport{h}, Jar: b.jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if r.URL.Host == "" {
		r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(origin, "http://")
	}
	r.RequestURI = ""
	res, err := client.Do(r)
	if err != nil {
		b.t.Fatalf("livetest: %s %s: %v", r.Method, r.URL, err)
	}
	body, err := readAll(res)
	if err != nil {
		b.t.Fatalf("livetest: %s %s: read body: %v", r.Method, r.URL, err)
	}
	return res, body
}

// Get loads a page as a browser without JavaScript, pictures included.
func (b *Browser) Get(h http.Handler, path string) *Document {
	b.t.Helper()
	d := b.get(h, path)
	for n := range d.root.Descendants() {
		// html.Parse takes the content of noscript for text in the head only.
		if src, ok := attr(n, "src"); ok && n.Data == "img" {
			b.get(h, resolve(path, src))
		}
		if n.Data == "noscript" && n.FirstChild != nil {
			for m := range parse(n.FirstChild.Data).Descendants() {
				if src, ok := attr(m, "src"); ok && m.Data == "img" {
					b.get(h, resolve(path, src))
				}
			}
		}
	}
	return d
}

// Peek loads a page as a program without pictures does: nothing tells the
// server that it arrived.
func (b *Browser) Peek(h http.Handler, path string) *Document {
	b.t.Helper()
	return b.get(h, path)
}

func (b *Browser) get(h http.Handler, path string) *Document {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, origin+path, nil)
	if err != nil {
		b.t.Fatalf("livetest: GET %s: %v", path, err)
	}
	res, body := b.Do(h, r) //nolint:bodyclose // Do closes it
	return &Document{Status: res.StatusCode, Header: res.Header, HTML: body, browser: b, handler: h, path: path, root: parse(body)}
}

// Document is a page as a browser without JavaScript has it.
type Document struct {
	Status int
	Header http.Header
	HTML   string

	browser *Browser
	handler http.Handler
	path    string
	root    *html.Node
}

// Text returns what a reader sees, with white space folded.
func (d *Document) Text() string { return text(d.root) }

// Has reports whether an element matches the selector: tag, #id, .class,
// [attr], [attr=value], and descendants of such.
func (d *Document) Has(sel string) bool { return find(d.root, parseSelector(sel)) != nil }

// Submit posts a form by the button that the selector names, with the form's
// fields and those of data, and follows the redirect.
func (d *Document) Submit(button string, data map[string]string) *Document {
	t := d.browser.t
	t.Helper()
	n := find(d.root, parseSelector(button))
	form := closest(n, func(n *html.Node) bool { return n.Data == "form" })
	if form == nil {
		t.Fatalf("livetest: no form with a button %s in:\n%s", button, d.HTML)
	}
	values := url.Values{}
	for name, v := range fields(form) {
		switch v := v.(type) {
		case string:
			values.Set(name, v)
		case []string:
			values[name] = v
		}
	}
	if name, _ := attr(n, "name"); name != "" {
		value, _ := attr(n, "value")
		values.Set(name, value)
	}
	for name, v := range maps.All(data) {
		values.Set(name, v)
	}
	return d.browser.Post(d.handler, d.path, values)
}

// Post posts a form and follows the redirect.
func (b *Browser) Post(h http.Handler, path string, form url.Values) *Document {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, origin+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatalf("livetest: POST %s: %v", path, err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	res, body := b.Do(h, r) //nolint:bodyclose // Do closes it
	if location := res.Header.Get("Location"); location != "" {
		return b.Get(h, resolve(path, location))
	}
	return &Document{Status: res.StatusCode, Header: res.Header, HTML: body, browser: b, handler: h, path: path, root: parse(body)}
}

// resolve returns the path that a link on a page leads to.
func resolve(page, link string) string {
	base, err := url.Parse(origin + page)
	if err != nil {
		return link
	}
	u, err := base.Parse(link)
	if err != nil {
		return link
	}
	return u.RequestURI()
}

// waitLimit bounds every wait, by the bubble's clock if there is one.
const waitLimit = 30 * time.Second
