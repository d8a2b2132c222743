package scaffold_test

import (
	"archive/zip"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/internal/repo"
	"lastmile/internal/scaffold"
)

// TestRename changes what is a path, and nothing that only looks like one. The old name
// is not the repository's, so that the test outlives a renaming.
func TestRename(t *testing.T) {
	t.Parallel()
	const path = "example.test/ann/lastmile"
	before := map[string][2]string{
		"go.mod": {"module oldname\n\ngo 1.26.0\n", "module " + path + "\n\ngo 1.26.0\n"},
		"live/own/go.mod": {
			"module oldname/live/own\n\nrequire (\n\toldname v0.0.0\n\toldname.dev/x v1.0.0\n)\n\nreplace oldname => ../..\n",
			"module " + path + "/live/own\n\nrequire (\n\t" + path + " v0.0.0\n\toldname.dev/x v1.0.0\n)\n\nreplace " + path + " => ../..\n",
		},
		".golangci.yml": {
			"- {pkg: oldname/live, desc: x}\ngofumpt: {module-path: oldname}\n  gofumpt: {module-path: oldname}\n  goimports: {local-prefixes: [oldname]}\nname: oldname\n",
			"- {pkg: " + path + "/live, desc: x}\ngofumpt: {module-path: " + path + "}\n  gofumpt: {module-path: " + path + "}\n  goimports: {local-prefixes: [" + path + "]}\nname: oldname\n",
		},
		"compose.yml": {"name: oldname\nimage: oldname\n", "name: oldname\nimage: oldname\n"},
		"live/live.go": {
			"package live\n\n// See oldname/live and ~/.cache/oldname/live.\nimport (\n\t\"oldname\"\n\tlm \"oldname/live\"\n)\n\nvar a, b, c = \"oldname\", \"oldname/live\", \"oldname/session v1\"\n",
			"package live\n\n// See " + path + "/live and ~/.cache/oldname/live.\nimport (\n\t\"" + path + "\"\n\tlm \"" + path + "/live\"\n)\n\nvar a, b, c = \"oldname\", \"" + path + "/live\", \"oldname/session v1\"\n",
		},
		"README.md": {
			"Oldname and `oldname.New` in oldname/live.\n\n\t\"oldname\"\n\nrequire oldname v0.0.0\nreplace oldname => ../oldname\ngo get oldname@latest\n",
			"Oldname and `oldname.New` in " + path + "/live.\n\n\t\"" + path + "\"\n\nrequire " + path + " v0.0.0\nreplace " + path + " => ../oldname\ngo get " + path + "@latest\n",
		},
		"bench.txt": {"ok oldname/live 1s\n", "ok oldname/live 1s\n"},
	}
	dir := t.TempDir()
	for name, text := range before {
		write(t, dir, name, text[0])
	}
	if _, err := scaffold.Rename(dir, path); err != nil {
		t.Fatal(err)
	}
	for name, text := range before {
		if got := read(t, dir, name); got != text[1] {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, text[1])
		}
	}
	if again, err := scaffold.Rename(dir, path); err != nil || len(again) != 0 {
		t.Errorf("a second time: %v, %v", again, err)
	}
}

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for path, good := range map[string]bool{
		"github.com/ann/lastmile": true, "git.example.com/a/b/lastmile": true, "lastmile.dev/lastmile": true,
		"": false, "lastmile": false, "ann/lastmile": false, "github.com/ann/other": false, "https://github.com/ann/lastmile": false,
		"github.com/ann/lastmile/": false, "/usr/bin:/bin": false,
	} {
		if err := scaffold.CheckPath(path); (err == nil) != good {
			t.Errorf("%q: got %v", path, err)
		}
	}
}

// TestModule gives a copy of the repository another path by the command that README
// names, publishes it to a folder, and has an empty module install it from there, build
// README's program and run it.
func TestModule(t *testing.T) {
	t.Parallel()
	module := "door.test/" + strings.ToLower(rand.Text()) + "/lastmile"
	dir := tracked(t)
	cmd := exec.CommandContext(t.Context(), "make", "module", "PATH="+module)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make module: %v\n%s", err, out)
	}
	checkRenamed(t, dir, module)

	proxy := t.TempDir()
	publish(t, proxy, dir, module, "v0.1.0")
	cache := goCommand(t, dir, nil, "env", "GOMODCACHE")
	t.Cleanup(func() { // what is of the test alone leaves the shared cache
		_ = os.RemoveAll(filepath.Join(cache, filepath.Dir(module)))
		_ = os.RemoveAll(filepath.Join(cache, "cache", "download", filepath.Dir(module)))
		_ = os.Remove(filepath.Join(cache, "door.test")) // unless another run has one
		_ = os.Remove(filepath.Join(cache, "cache", "download", "door.test"))
	})
	app := t.TempDir()
	write(t, app, "go.mod", "module example.com/shop\n\ngo 1.26.0\n")
	write(t, app, "main.go", read(t, dir, "examples/starter/main.go"))
	env := []string{
		"GOPROXY=file://" + filepath.ToSlash(proxy) + ",file://" + filepath.ToSlash(cache) + "/cache/download," + goCommand(t, dir, nil, "env", "GOPROXY"),
		"GONOSUMDB=" + module, "GOFLAGS=-modcacherw", "GOPRIVATE=", "GONOPROXY=", "GOSUMDB=off",
	}
	goCommand(t, app, env, "get", module+"@v0.1.0")
	if mod := read(t, app, "go.mod"); !strings.Contains(mod, module+" v0.1.0") {
		t.Errorf("go get wrote\n%s", mod)
	}
	goCommand(t, app, env, "get", ".") // what else its imports need
	// Not optimized, which is half the work; whatever is not ours is in the cache.
	goCommand(t, app, env, "build", "-gcflags="+module+"/...=-N -l", "-o", "app", ".")
	drive(t, filepath.Join(app, "app"))
}

// tracked copies the repository's files, as they are in the working tree.
func tracked(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "ls-files", "-z")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if b, err := os.ReadFile(filepath.Join(root(t), name)); err == nil { // one that is deleted is not there
			write(t, dir, name, string(b))
		}
	}
	return dir
}

// checkRenamed finds no import under the old name, no file that is not formatted, and
// a linter that knows the new one: under the old one it would forbid nothing.
func checkRenamed(t *testing.T, dir, module string) {
	t.Helper()
	if got, err := repo.Module(dir); err != nil || got != module {
		t.Fatalf("the module is %q, %v", got, err)
	}
	old, err := repo.Module(root(t))
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") {
			return err
		}
		files++
		text := []byte(read(t, filepath.Dir(file), d.Name()))
		f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			if p := strings.Trim(i.Path.Value, `"`); p == old || strings.HasPrefix(p, old+"/") {
				t.Errorf("%s imports %s", file, p)
			}
		}
		if tidy, err := format.Source(text); err != nil || !slices.Equal(tidy, text) {
			t.Errorf("%s is not formatted: %v", file, err)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files, %v", files, err)
	}
	if !strings.Contains(read(t, dir, "README.md"), read(t, dir, "examples/starter/main.go")) {
		t.Error("README.md shows another program than the starter's")
	}
	lint := read(t, dir, ".golangci.yml")
	for _, want := range []string{"pkg: " + module + "/live", "module-path: " + module + "}", "local-prefixes: [" + module + "]"} {
		if !strings.Contains(lint, want) || strings.Contains(lint, "pkg: "+old+"/") {
			t.Errorf(".golangci.yml lacks %q or has the old path", want)
		}
	}
}

// publish writes a version as a proxy serves it. Modules within are not part of it.
func publish(t *testing.T, proxy, dir, module, version string) {
	t.Helper()
	at := filepath.Join(module, "@v")
	write(t, proxy, filepath.Join(at, "list"), version+"\n")
	write(t, proxy, filepath.Join(at, version+".mod"), read(t, dir, "go.mod"))
	info, err := json.Marshal(map[string]string{"Version": version, "Time": time.Unix(0, 0).UTC().Format(time.RFC3339)})
	write(t, proxy, filepath.Join(at, version+".info"), string(info))
	f, createErr := os.Create(filepath.Join(proxy, at, version+".zip"))
	if err := cmp.Or(err, createErr); err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	err = filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil && file != dir {
				return filepath.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		w, err := z.Create(module + "@" + version + "/" + filepath.ToSlash(name))
		if err != nil {
			return err
		}
		_, err = w.Write([]byte(read(t, dir, name)))
		return err
	})
	if err := cmp.Or(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
