// Package inputmodel_test runs random histories of a user, a network and a server
// on the browser client: on its input policy alone, and on the whole client in
// Chromium. testdata/world.js has the histories and the oracle.
package inputmodel_test

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"lastmile/internal/browser"
	"lastmile/internal/tools/clientbuild/bundle"
)

var (
	histories = flag.Int("input.histories", 5000, "random histories of the input model")
	inChrome  = flag.Int("input.browser", 300, "random histories of the whole client in Chromium")
	seed      = flag.Int("input.seed", 1, "where the random histories begin")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sources = "../../live/client"

var (
	//go:embed testdata/world.js
	worldJS string
	//go:embed testdata/model.js
	modelJS string
	//go:embed testdata/whole.js
	wholeJS string
)

// harness bundles a client of the world with the client's sources in dir.
func harness(t *testing.T, dir, driver string) string {
	t.Helper()
	imports := regexp.MustCompile(`(?m)^import .* from "WORLD";$`)
	exports := regexp.MustCompile(`(?m)^export `)
	script, err := bundle.BuildPlain(dir, exports.ReplaceAllString(worldJS, "")+imports.ReplaceAllString(driver, ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// load opens a page with a script in it.
func load(ctx context.Context, t *testing.T, script string) {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // forms go to an address
		_, _ = io.WriteString(w, "<!doctype html><title>model</title>")
	}))
	t.Cleanup(page.Close)
	browser.Do(ctx, t, chromedp.Navigate(page.URL))
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](script+"\nvoid 0"))
}

// play runs histories in chunks, and returns the violations that they found.
func play(ctx context.Context, t *testing.T, function string, seed, count int) []string {
	t.Helper()
	const chunk = 100
	var found []string
	for n := 0; n < count && len(found) == 0; n += chunk {
		found = browser.Eval[[]string](ctx, t, fmt.Sprintf("%s(%d, %d)", function, seed+n*7919, min(chunk, count-n)))
	}
	return found
}

// TestBrowserInputModel runs random histories of a user, a network and a server
// on the client's input policy: nothing that was typed or chosen is lost, moved
// to another field, or left unsaid.
func TestBrowserInputModel(t *testing.T) {
	t.Parallel()
	ctx := browser.NewFor(t, time.Hour)
	load(ctx, t, harness(t, sources, modelJS))
	for _, bad := range play(ctx, t, "runModel", *seed, *histories) {
		t.Error(bad)
	}
	t.Logf("report: input model: %d histories from seed %d", *histories, *seed)
}

// TestBrowserInputHistories runs random histories on the whole client in a real
// page: the browser's fields, its events, and frames of the protocol.
func TestBrowserInputHistories(t *testing.T) {
	t.Parallel()
	ctx := browser.NewFor(t, 2*time.Hour)
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		t.Fatal(err)
	}
	load(ctx, t, harness(t, sources, wholeJS))
	for _, bad := range play(ctx, t, "runWhole", *seed, *inChrome) {
		t.Error(bad)
	}
	t.Logf("report: input in Chromium: %d histories from seed %d", *inChrome, *seed)
}

// mutants each leave out one rule of the policy. One rule is not here: that what
// waits is kept. A message made after an edit sends what waits first, so an
// answer that finds an edit waiting is to one that said the same.
var mutants = []struct{ name, file, old, new string }{
	{"an edit is the user's", "fields.ts", "recs.set(f, { user: true, touched", "recs.set(f, { user: false, touched"},
	{"what waits goes before an edit elsewhere", "fields.ts", "if (w !== last) fire(w);", ""},
	{"only the last message is replaced", "fields.ts", "queue.unanswered.at(-1)", `queue.unanswered.findLast((m) => m.edit && !m.sent && same((m.edit as Edit<F>).bound, b))`},
	{"what is sent is kept until its answer", "fields.ts", "if (!entry.done) return;", ""},
	{"a choice that was refused follows", "fields.ts", "(choice(f) && (error || (b && !b.whole)))", "(choice(f) && !error && b && !b.whole)"},
	{"a choice of its own follows its answer", "fields.ts", "(error || (b && !b.whole))", "error"},
	{"what the server wrote is judged at the answer", "fields.ts", "r.echoes ||= r.wrote;", ""},
	{"only an answer after it writes what was never sent", "fields.ts", "if (!written || !news || seen < r.since", "if (!written"},
	{"numbers tell what came after an edit", "fields.ts", "seen < r.since || anyBound", "anyBound"},
	{"a field that leaves is parked", "fields.ts", "parked.set(id, { rec: r, just: true });", ""},
	{"a renamed field is another one", "fields.ts", "if (becomes) renamed.add(f);", ""},
	{"a renamed field shows the server's", "fields.ts", "renamed.forEach(reset);", ""},
	{"a choice stays a value", "fields.ts", "if (!display(f, r.kept)) {", "if (!display(f, shown(f))) {"},
	{"a form's message carries all its fields", "fields.ts", "|| (b.whole && anyBound(f)?.about === b.about)", ""},
	{"a text that was refused is kept", "fields.ts", "if (error && !choice(f) && !forced(f)) return;", ""},
	{"live-force follows each answer", "fields.ts", "if (r.echoes || forced(f) ||", "if (r.echoes ||"},
	{"a field that leaves has been sent", "fields.ts", "const r = fireOf(f);\n      if (!r) return;\n      recs.delete(f);", "const r = recs.get(f);\n      if (!r) return;\n      recs.delete(f);"},
	{"a text under the caret follows when it is left", "fields.ts", "if (!r.late || r.user || busy(f)) return;", "return;"},
	{"edits under way are sent again", "queue.ts", "m.sent && !m.edit, because", "m.sent, because"},
	{"a submission carries the fields", "fields.ts", "r.entry = m;\n        r.unended = false;", ""},
	{"a change that has not come is waited for", "fields.ts", `const unended = held || (on === INPUT && !!bound(f, CHANGE));`, "const unended = held;"},
	{"radios are ticked again", "fields.ts", "port.restore(now);", ""},
	{"the other radios are forgotten", "fields.ts", "for (const o of rivals(f)) recs.delete(o);", ""},
	{"a refused radio gives way to the server's", "fields.ts", "for (const o of rivals(f)) if (fresh(o)) reset(o);", ""},
	{"recovered edits go first", "queue.ts", "this.unanswered.push(...rest);", "this.unanswered.unshift(...rest);"},
	{"what was touched is sent again", "fields.ts", "recover(anew);", ""},
	{"a field that comes back is sent again", "fields.ts", "if (!anew) return send();", "if (!anew) return;"},
	{"controls that are put back are told", "fields.ts", "edit(f, bound(f, INPUT) ? INPUT : CHANGE, false, true);", "return;"},
	{"what is newer than a submission stays", "fields.ts", "return !!r?.user && r.entry !== m;", "return false;"},
}

// TestBrowserInputMutants leaves out these rules one by one: the model notices
// each.
func TestBrowserInputMutants(t *testing.T) {
	t.Parallel()
	ctx := browser.NewFor(t, time.Hour)
	for _, m := range mutants { //nolint:paralleltest // they share a browser
		t.Run(m.name, func(t *testing.T) {
			load(ctx, t, harness(t, mutate(t, m.file, m.old, m.new), modelJS))
			if found := play(ctx, t, "runModelUntil", 1, *histories); len(found) == 0 {
				t.Errorf("%d histories find nothing wrong", *histories)
			}
		})
	}
}

// mutate copies the client's sources and changes one place.
func mutate(t *testing.T, file, old, replacement string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(sources, "*.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == file {
			if strings.Count(string(text), old) != 1 {
				t.Fatalf("%s has %d places that read %q, want 1", file, strings.Count(string(text), old), old)
			}
			text = []byte(strings.Replace(string(text), old, replacement, 1))
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
