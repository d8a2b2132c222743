package structure_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"lastmile/internal/repo"
	"lastmile/internal/structure"
)

// everything loads all packages of the module, once for all tests.
var everything = sync.OnceValues(func() ([]*structure.Package, error) {
	root, err := repo.Root()
	if err != nil {
		return nil, err
	}
	return structure.Load(root, "./...")
})

// packages returns the packages below the directories, all without one.
func packages(t *testing.T, dirs ...string) []*structure.Package {
	t.Helper()
	all, err := everything()
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		return all
	}
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	module, err := repo.Module(root)
	if err != nil {
		t.Fatal(err)
	}
	var list []*structure.Package
	for _, p := range all {
		if slices.ContainsFunc(dirs, func(dir string) bool {
			return dir == "." && p.Path == module || p.Path == module+"/"+dir || strings.HasPrefix(p.Path, module+"/"+dir+"/")
		}) {
			list = append(list, p)
		}
	}
	if len(list) < len(dirs) {
		t.Fatalf("only %d packages found below %v", len(list), dirs)
	}
	return list
}

// libraries are what applications import, with what is internal to it.
var libraries = []string{".", "devredis", "live", "jobs", "push"}

// public returns the libraries' packages that applications can import.
func public(t *testing.T, dirs ...string) []*structure.Package {
	t.Helper()
	return slices.DeleteFunc(packages(t, dirs...), func(p *structure.Package) bool {
		return p.Name == "main" || slices.Contains(strings.Split(p.Path, "/"), "internal")
	})
}

// TestFunctionsAreShort: a function of 80 lines is two functions.
func TestFunctionsAreShort(t *testing.T) {
	t.Parallel()
	functions := 0
	for _, p := range packages(t) {
		for _, f := range p.Funcs() {
			functions++
			if f.Lines >= 80 {
				t.Errorf("%s: %s has %d lines, want under 80", p.Line(f.Pos), f.Name, f.Lines)
			}
		}
	}
	if functions < 1000 {
		t.Errorf("only %d functions found", functions)
	}
}

// TestTypesHaveFewMethods: a type with more methods than one can keep in mind is
// several types in one name space.
func TestTypesHaveFewMethods(t *testing.T) {
	t.Parallel()
	const most = 40
	for _, p := range packages(t, libraries...) {
		for name, n := range p.Methods() {
			if name = p.Path + "." + name; n > most {
				t.Errorf("%s has %d methods, want at most %d", name, n, most)
			}
		}
	}
}

// TestConnIsSmall: what one goroutine does for a connection stays in one head
// only while its fields are few and each is written in one place or two.
func TestConnIsSmall(t *testing.T) {
	t.Parallel()
	const most, places = 25, 2
	var fields []structure.Field
	for _, p := range packages(t, "live") {
		if p.Path == "lastmile/live" {
			fields = p.Fields("conn")
		}
	}
	if len(fields) == 0 {
		t.Fatal("live.conn was not found")
	}
	if len(fields) > most {
		t.Errorf("live.conn has %d fields, want at most %d", len(fields), most)
	}
	for _, f := range fields {
		if len(f.WrittenIn) > places {
			t.Errorf("live.conn.%s is written in %v, want %d files at most", f.Name, f.WrittenIn, places)
		}
	}
}

// within is exported for internal/script alone, whose types say so: it is how
// jobs stores a push within a script of its own.
const within = "Transport.ScriptAppend"

// TestExportedSignaturesCanBeNamed: a user must be able to write down the type
// of everything that is handed to them.
func TestExportedSignaturesCanBeNamed(t *testing.T) {
	t.Parallel()
	for _, p := range public(t, libraries...) {
		for _, s := range p.API() {
			for _, typ := range s.Types {
				if why := structure.Hidden(typ); why != "" && s.Name != within {
					t.Errorf("%s: %s: %s", p.Line(s.Pos), s.Name, why)
				}
			}
		}
	}
}

// TestPushSpeaksNoLua: how a store does its work is no part of the ports, nor
// is a value of any type except an action's data.
func TestPushSpeaksNoLua(t *testing.T) {
	t.Parallel()
	for _, p := range public(t, "push") {
		for _, s := range p.API() {
			name := strings.ToLower(s.Name)
			if s.Name != within && (strings.Contains(name, "script") || strings.Contains(name, "lua")) {
				t.Errorf("%s: %s is exported", p.Line(s.Pos), s.Name)
			}
			for _, v := range s.Params {
				if v.Type().String() == "any" && v.Name() != "data" {
					t.Errorf("%s: %s takes %s of any type", p.Line(s.Pos), s.Name, v.Name())
				}
			}
		}
	}
}

// TestContextsAreCalledCtx: a function that has two says what the other is for
// before the Ctx, as in drainCtx.
func TestContextsAreCalledCtx(t *testing.T) {
	t.Parallel()
	contexts := 0
	for _, p := range packages(t) {
		for _, id := range p.Contexts() {
			contexts++
			if id.Name != "ctx" && id.Name != "_" && id.Name != "" && !strings.HasSuffix(id.Name, "Ctx") {
				t.Errorf("%s: the context %s is not called ctx", p.Line(id.Pos()), id.Name)
			}
		}
	}
	if contexts < 200 {
		t.Errorf("only %d contexts found", contexts)
	}
}
