package main_test

import (
	"context"
	_ "embed"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
)

// axe is axe-core, of Deque, under the MPL 2.0: .ci/frontends fetches it.
//
//go:embed testdata/axe.min.js
var axe string

// TestBrowserEveryPage looks at every page as a phone and as a desktop would show
// it, light and dark: nothing is wider than the screen, axe-core finds no
// violation of WCAG 2.2 AA or of its best practices, and the console is clean.
func TestBrowserEveryPage(t *testing.T) {
	t.Parallel()
	w := start(t, "--demo")
	ctx := browser.New(t)
	browser.Quiet(ctx, t, "status of 404")
	browser.Do(ctx, t, chromedp.Navigate(w.url+"/ops?token="+w.token)) // an operator from here on
	for _, path := range []string{
		"/", "/reports", "/slow", "/timer", "/webhook", "/board", "/ops", "/ops/jobs", "/nowhere",
		"/plain", "/plain/htmx", "/plain/turbo", "/plain/datastar", "/plain/react",
		"/guide/", "/guide/?q=worker", "/guide/1-page", "/guide/docs/security", "/guide/docs/adr/0001-dependencies",
	} {
		browser.Do(ctx, t, chromedp.Navigate(w.url+path))
		browser.Eval[bool](ctx, t, axe+`;true`)
		for _, as := range []struct {
			name, scheme  string
			width, height int64
		}{{"phone-light", "light", 390, 844}, {"desktop-dark", "dark", 1280, 900}} {
			browser.Do(ctx, t, chromedp.EmulateViewport(as.width, as.height), scheme(as.scheme))
			browser.Eval[bool](ctx, t, `Promise.allSettled(document.getAnimations().map((a) => a.finished)).then(() => true)`)
			if wide := browser.Eval[string](ctx, t, wider); wide != "" {
				t.Errorf("%s, %s: wider than the screen: %s", path, as.name, wide)
			}
			if found := browser.Eval[string](ctx, t, violations); found != "" {
				t.Errorf("%s, %s: axe-core finds\n%s", path, as.name, found)
			}
			screenshot(ctx, t, "page"+strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(path)+"-"+as.name+".png")
		}
	}
}

// scheme has the page think that its visitor likes it light or dark.
func scheme(value string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
		})
		return chromedp.Void{}, err
	}
}

// wider names the elements that make the page wider than the screen.
const wider = `document.documentElement.scrollWidth <= innerWidth ? '' :
	[...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80)).slice(0, 3).join('\n')`

const violations = `axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations.map((v) =>
	v.id + ': ' + v.help + '\n' + v.nodes.slice(0, 4).map((n) => '\t' + n.html.slice(0, 160) + ' ' + n.failureSummary.replaceAll('\n', ' ')).join('\n')).join('\n'))`
