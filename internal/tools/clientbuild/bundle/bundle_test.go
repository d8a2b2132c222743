package bundle_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
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

func TestPartsAreWhatTheirSourcesBuild(t *testing.T) {
	t.Parallel()
	limits := map[string]int{"lane": 2048, "address": 512, "disable": 1280} // bytes
	for _, name := range bundle.Parts() {
		built, err := bundle.BuildPart(sources, name)
		if err != nil {
			t.Fatal(err)
		}
		shipped, err := os.ReadFile(filepath.Join(sources, bundle.PartOutput(name)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(built, shipped) {
			t.Errorf("live/client/%s is not what its source builds: run go generate ./live/client", bundle.PartOutput(name))
		}
		size := zipped(t, built)
		t.Logf("report: %s: %d B gzip, at most %d", name, size, limits[name])
		if size > limits[name] {
			t.Errorf("%s: %d B gzip, want at most %d", name, size, limits[name])
		}
	}
}

// modules are where the modules for other programs are.
const modules = "../../../../" + bundle.Module

func TestModulesAreWhatTheSourcesBuild(t *testing.T) {
	t.Parallel()
	for _, name := range bundle.Modules() {
		built, err := bundle.BuildModule(modules, name)
		if err != nil {
			t.Fatal(err)
		}
		shipped, err := os.ReadFile(filepath.Join(modules, "dist", name+".js"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(built, shipped) {
			t.Errorf("%s/dist/%s.js is not what its source builds: run go generate ./push/pushhttp", bundle.Module, name)
		}
		const limit = 2048 // bytes
		size := zipped(t, built)
		t.Logf("report: %s.js: %d B gzip, at most %d", name, size, limit)
		if size > limit {
			t.Errorf("%s.js: %d B gzip, want at most %d", name, size, limit)
		}
	}
}

func TestBundleIsSmall(t *testing.T) {
	t.Parallel()
	const limit = 12_960 // bytes; the goal is 10,200
	size := zipped(t, build(t, sources))
	t.Logf("report: browser client: %d B gzip, at most %d", size, limit)
	if size > limit {
		t.Errorf("browser client: %d B gzip, want at most %d", size, limit)
	}
}

// TestPatchCoreIsSmall bundles the patch core alone: hydration, patches with
// keyed moves, and snapshots, of everything that is patched node by node. Not in
// it are what it is given: the input policy, the morph that irregular templates
// need, and the rebuild of a page that is not known; nor the shell.
func TestPatchCoreIsSmall(t *testing.T) {
	t.Parallel()
	const limit = 3_800 // bytes
	core := source(t, "core", "attach")
	for _, foreign := range []string{"WebSocket", "compositionstart", "live-force"} {
		if bytes.Contains(core, []byte(foreign)) {
			t.Errorf("the patch core imports what has %q", foreign)
		}
	}
	size := zipped(t, core)
	t.Logf("report: patch core: %d B gzip, at most %d; with morph, rebuild and input policy: %d B", size, limit,
		zipped(t, source(t, "patch", "createPatcher")))
	if size > limit {
		t.Errorf("patch core: %d B gzip, want at most %d", size, limit)
	}
}

// source bundles one export of a module.
func source(t *testing.T, module, name string) []byte {
	t.Helper()
	script, err := bundle.BuildSource(sources, fmt.Sprintf(`import { %s } from "./%s"; Object.assign(window, { %[1]s });`, name, module))
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func TestBuildNamesFileAndLineOfAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.ts"), []byte("let x = ;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := bundle.Build(dir)
	if err == nil || !strings.Contains(err.Error(), "main.ts:1") {
		t.Errorf("error = %v, want one that names main.ts:1", err)
	}
}
