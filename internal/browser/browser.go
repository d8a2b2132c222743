// Package browser starts headless Chromium for tests and has the few helpers
// that every browser test needs.
//
//	ctx := browser.New(t)
//	browser.Do(ctx, t, chromedp.Navigate(server.URL))
//	browser.WaitFor(ctx, t, `document.title === "Reports"`)
//
// A test that needs Chromium fails without it, it never skips: the message says
// how to install it. The package knows nothing of live pages; only tests use it.
package browser

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"lastmile/internal/patience"
)

// New starts a Chromium with an empty profile, bound to the end of the test,
// and returns the context of its first tab. The test fails when Chromium is
// missing or does not start. Console output and uncaught exceptions of the page
// are logged when the test fails.
func New(t testing.TB, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	return NewFor(t, 2*patience.Limit, options...)
}

// NewFor is New for a test that takes longer than usual: lifetime bounds the
// browser, twice patience.Limit in New.
func NewFor(t testing.TB, lifetime time.Duration, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 900),
		chromedp.WSURLReadTimeout(patience.Limit),
	)
	// The browser outlives t.Context, which ends before the clean-ups run that
	// may still want a last look at the page.
	// A page that hangs fails its test and not the whole run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), lifetime)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, append(all, options...)...)
	t.Cleanup(stop)
	return open(ctx, t)
}

// Tab opens another tab in the browser of ctx, with the same cookies.
func Tab(ctx context.Context, t testing.TB) context.Context {
	t.Helper()
	return open(ctx, t)
}

// Isolated opens a tab with cookies and storage of its own in the browser of
// ctx: another user, at a fraction of the price of another browser.
func Isolated(ctx context.Context, t testing.TB) context.Context {
	t.Helper()
	return open(ctx, t, chromedp.WithNewBrowserContext())
}

// Do runs steps in the tab of ctx and fails the test when one fails.
func Do(ctx context.Context, t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("browser: %v", err)
	}
}

// Eval returns the value of a JavaScript expression in the tab of ctx; a promise
// is awaited.
func Eval[T any](ctx context.Context, t testing.TB, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("browser: evaluate %s: %v", expression, err)
	}
	return v
}

// WaitFor waits until a JavaScript expression is true in the tab of ctx, through
// navigations and reloads. It fails the test with the page's text after
// patience.Limit.
func WaitFor(ctx context.Context, t testing.TB, expression string) {
	t.Helper()
	deadline := time.After(patience.Limit)
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if ok {
			return
		}
		last = err
		select {
		case <-tick.C:
		case <-deadline:
			text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
			t.Fatalf("browser: waited %v for %s (last error: %v); the page says:\n%s", patience.Limit, expression, last, text)
		case <-ctx.Done():
			t.Fatalf("browser: wait for %s: %v", expression, context.Cause(ctx))
		}
	}
}

// Quiet fails the test at its end if the page in the tab of ctx has written an
// error or a warning to its console, or thrown one that nobody caught, but for
// lines that hold one of the allowed texts: what the test does to it on purpose.
func Quiet(ctx context.Context, t testing.TB, allowed ...string) {
	t.Helper()
	page, ok := ctx.Value(journalKey{}).(*journal)
	if !ok {
		t.Fatal("browser: Quiet: the context is no tab's")
	}
	t.Cleanup(func() {
		for _, line := range page.complaints() {
			if !slices.ContainsFunc(allowed, func(s string) bool { return strings.Contains(line, s) }) {
				t.Errorf("browser: the page's console says %s", line)
			}
		}
	})
}

// find returns the path of an installed Chromium or Chrome.
func find() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("browser: none of %s found: install Chromium (Debian: apt-get install chromium)",
		strings.Join(names, ", "))
}

func open(ctx context.Context, t testing.TB, options ...chromedp.ContextOption) context.Context {
	t.Helper()
	page := &journal{}
	ctx = context.WithValue(ctx, journalKey{}, page)
	ctx, cancel := chromedp.NewContext(ctx, append(options, chromedp.WithListener(page.note))...)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // starts the browser, or opens the tab
		t.Fatalf("browser: start Chromium: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("browser: console of the page:\n%s", page)
		}
	})
	return ctx
}

// journalKey is where a tab's context has its journal.
type journalKey struct{}

// journal keeps what a page wrote to its console.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(event any) {
	var line string
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		var parts []string
		for _, arg := range e.Args {
			if arg.Value != nil {
				parts = append(parts, string(arg.Value))
			} else {
				parts = append(parts, arg.Description)
			}
		}
		line = string(e.Type) + ": " + strings.Join(parts, " ")
	case *runtime.EventExceptionThrown:
		line = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			line += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		line = string(e.Entry.Level) + ": " + e.Entry.Text + " " + e.Entry.URL
	default:
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// complaints returns the lines that are errors and warnings.
func (j *journal) complaints() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []string
	for _, line := range j.lines {
		kind, _, _ := strings.Cut(line, ":")
		if slices.Contains([]string{"exception", "error", "warning", "assert"}, kind) {
			out = append(out, line)
		}
	}
	return out
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}
