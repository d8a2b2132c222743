package enginebrowser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"
	"go.uber.org/goleak"

	"lastmile/internal/browser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata/vectors.js
var vectorsJS string

// script bundles the patch core from its sources as window.live.
func script(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../client")
	if err != nil {
		t.Fatal(err)
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: dir,
		EntryPoints:   []string{"patch.ts"},
		Bundle:        true,
		Format:        api.FormatIIFE,
		GlobalName:    "live",
		Target:        api.ES2020,
		Charset:       api.CharsetASCII,
		LogLevel:      api.LogLevelSilent,
	})
	for _, e := range result.Errors {
		t.Errorf("%s: %s", e.Location.File, e.Text)
	}
	if len(result.OutputFiles) != 1 {
		t.Fatal("the patch core does not bundle")
	}
	return string(result.OutputFiles[0].Contents)
}

// open starts a browser with the patch core loaded into an empty page.
func open(t testing.TB) context.Context {
	t.Helper()
	ctx := browser.New(t, chromedp.Flag("disable-features", "Translate"))
	browser.Do(ctx, t, chromedp.Navigate("data:text/html,<!doctype html><title>engine</title>"))
	// Without it the page is never in front, and focus and blur stay silent.
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		t.Fatal(err)
	}
	load(ctx, t)
	return ctx
}

func load(ctx context.Context, t testing.TB) {
	t.Helper()
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](script(t)+"\nwindow.live = live;\n"+vectorsJS+"\nvoid 0"))
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
