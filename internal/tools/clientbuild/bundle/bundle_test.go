package bundle_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastmile/internal/tools/clientbuild/bundle"
)

const sources = "../../../../live/client"

func build(t *testing.T, dir string) []byte {
	t.Helper()
	script, err := bundle.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func zipped(t *testing.T, b []byte) int {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

func TestBundleIsWhatTheSourcesBuild(t *testing.T) {
	t.Parallel()
	shipped, err := os.ReadFile(filepath.Join(sources, bundle.Output))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(build(t, sources), shipped) {
		t.Error("live/client/dist/live.min.js is not what its sources build: run go generate ./live/client")
	}
}

func TestBundleIsSmall(t *testing.T) {
	t.Parallel()
	const limit = 9000 // bytes
	size := zipped(t, build(t, sources))
	t.Logf("report: browser client: %d B gzip, at most %d", size, limit)
	if size > limit {
		t.Errorf("browser client: %d B gzip, want at most %d", size, limit)
	}
}

// TestPatchCoreStandsAlone bundles the patch core from an entry of its own: it
// must not need the shell.
func TestPatchCoreStandsAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(sources)); err != nil {
		t.Fatal(err)
	}
	core := `import { createPatcher, PatchError } from "./patch"; Object.assign(window, { createPatcher, PatchError });`
	if err := os.WriteFile(filepath.Join(dir, bundle.Entry), []byte(core), 0o600); err != nil {
		t.Fatal(err)
	}
	script := build(t, dir)
	if bytes.Contains(script, []byte("WebSocket")) {
		t.Error("the patch core imports the shell")
	}
	t.Logf("report: patch core with morph and input policy: %d B gzip", zipped(t, script))
}

func TestBuildNamesFileAndLineOfAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, bundle.Entry), []byte("let x = ;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := bundle.Build(dir)
	if err == nil || !strings.Contains(err.Error(), "main.ts:1") {
		t.Errorf("error = %v, want one that names main.ts:1", err)
	}
}
