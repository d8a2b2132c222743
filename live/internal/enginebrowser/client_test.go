package enginebrowser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"lastmile/internal/browser"
	"lastmile/internal/tools/clientbuild/bundle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata/vectors.js
var vectorsJS string

// script bundles the patcher from its sources, as it is shipped, as window.live.
func script(t testing.TB) string {
	t.Helper()
	out, err := bundle.BuildSource("../../client", `import * as live from "./patch"; Object.assign(window, { live });`)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// open starts a browser with the patch core loaded into an empty page.
func open(t testing.TB) context.Context {
	t.Helper()
	ctx := browser.New(t, chromedp.Flag("disable-features", "Translate"))
	browser.Do(ctx, t, chromedp.Navigate("data:text/html,<!doctype html><title>engine</title>"))
	focus(ctx, t)
	load(ctx, t)
	return ctx
}

// focus puts a tab in front: without it focus and blur stay silent.
func focus(ctx context.Context, t testing.TB) {
	t.Helper()
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		t.Fatal(err)
	}
}

func load(ctx context.Context, t testing.TB) {
	t.Helper()
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](script(t)+"\n"+vectorsJS+"\nvoid 0"))
}

// call runs a function of the page with one argument.
func call[T any](ctx context.Context, t testing.TB, function string, arg any) T {
	t.Helper()
	data, err := json.Marshal(arg)
	if err != nil {
		t.Fatal(err)
	}
	return browser.Eval[T](ctx, t, function+"("+string(data)+")")
}
