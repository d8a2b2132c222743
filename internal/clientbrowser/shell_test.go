// Package clientbrowser_test drives the browser client in headless Chromium
// against a server that speaks the wire protocol as each test scripts it.
package clientbrowser_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"lastmile/internal/browser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tab is a browser tab that shows a page of a server of its own.
type tab struct {
	*server
	t   *testing.T
	ctx context.Context
}

// visit goes to a page whose container holds content.
func (p *tab) visit(content string, options ...func(*server)) {
	p.t.Helper()
	p.server = newServer(p.t, content, options...)
	p.extra = journal
	p.do(chromedp.Navigate(p.url()))
}

// journal collects the events that the client tells its page.
const journal = `
	window.root = document.getElementById("live");
	window.seen = [];
	for (const name of ["live:stale", "live:fresh", "live:error", "live:flash", "custom"])
		root.addEventListener(name, (e) => seen.push([name, e.detail]));
	window.of = (name) => seen.filter(([n]) => n === name).map(([, d]) => d);
	window.$ = (s) => document.querySelector(s);
`

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	browser.Do(p.ctx, p.t, steps...)
}

// run executes a script for its effects.
func (p *tab) run(script string) {
	p.t.Helper()
	browser.Do(p.ctx, p.t, chromedp.Evaluate[chromedp.Void](script))
}

func (p *tab) wait(expression string) {
	p.t.Helper()
	browser.WaitFor(p.ctx, p.t, expression)
}

// check fails the test unless the expression is true right now.
func (p *tab) check(expression string) {
	p.t.Helper()
	if !browser.Eval[bool](p.ctx, p.t, "!!("+expression+")") {
		p.t.Errorf("%s is not true; container: %s", expression,
			browser.Eval[string](p.ctx, p.t, `document.getElementById("live").outerHTML`))
	}
}

// click clicks as a user does, with the mouse.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(selector))
}

// TestBrowserShell runs every case in a tab of one Chromium.
func TestBrowserShell(t *testing.T) {
	t.Parallel()
	ctx := browser.New(t)
	for _, group := range []cases{
		frameCases, clickCases, formCases, editCases, inputCases, domCases, disableCases, connectionCases, staleCases, faultCases,
	} {
		for name, run := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(&tab{t: t, ctx: browser.Isolated(ctx, t)})
			})
		}
	}
}
