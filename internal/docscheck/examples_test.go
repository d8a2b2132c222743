package docscheck_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"lastmile/internal/docscheck"
	"lastmile/internal/repo"
)

// shown are the packages whose exported functions all have to be used in some
// example, and the methods that are entrances as well.
var shown = map[string][]string{
	".": {"Run", "Handle", "ServeHTTP", "Background", "Pool", "Jobs", "Readers"},
	"jobs": {
		"Enqueue", "Handle", "With", "Step", "Args", "Result", "Progress", // Kind and Job
		"Get", "Jobs", "Cancel", "Retry", "Batch", "BatchOf", "Run", // Client and Pool
	},
	"devredis":         {},
	"jobs/cron":        {"Run"},
	"jobs/outbox":      {},
	"jobs/jobscmd":     {},
	"jobs/jobstest":    {"Start", "Wait", "WaitState", "Until", "Drain", "Events", "Session"},
	"live":             {"Run", "Publish", "SessionOf", "Session", "TriggerAction", "Bind", "GetInt", "GetString", "SetFlash", "Subscribe", "Emit", "Navigate", "Redirect", "UserID"},
	"live/livetest":    {"Open", "Get", "Submit", "Click", "Try", "Send", "Answer", "WaitText", "Drop", "Reconnect", "State"},
	"push":             {"Session", "Trigger", "TriggerAction", "Subscribe", "Pending", "Ack", "Publish", "Run"},
	"push/cookie":      {"Session", "Authenticate"},
	"push/mempush":     {},
	"push/pushhttp":    {"Session", "Token"},
	"push/redisstream": {},
	"push/pushtest":    {},

	"push/stream":            {"Write", "Append", "Flush", "Close", "Next", "Offset", "Create", "Read"},
	"push/stream/redisstore": {"Run", "Expire"},
}

// unshown are functions for who writes a transport or a tool, not a program.
var unshown = map[string]bool{
	"push.EncodeMessage": true, "push.DecodeMessage": true, "push.ParseSeq": true, "push.ValidAction": true,
	"redisstream.KeyTable": true, "redisstream.SpecOf": true,
}

// TestExamplesShowEveryEntrance counts the examples that run, and finds each
// entrance of the libraries in one of them.
func TestExamplesShowEveryEntrance(t *testing.T) {
	t.Parallel()
	running, used := examples(t)
	if running < 25 {
		t.Errorf("%d examples run, want at least 25", running)
	}
	t.Logf("%d examples run", running)
	for dir, methods := range shown {
		functions := exportedFunctions(t, dir)
		for _, name := range functions {
			if call := called(dir) + "." + name; !unshown[call] && !used[call] {
				t.Errorf("no example uses %s", call)
			}
		}
		for _, name := range methods {
			if !used[called(dir)+" ."+name] {
				t.Errorf("no example of %s or with it calls %s", dir, name)
			}
		}
	}
}

// called is the name of the package in a directory.
func called(dir string) string {
	if dir == "." {
		return "lastmile"
	}
	return path.Base(dir)
}

// examples counts the examples with an output, and collects what their files
// use: "jobs.Define", and "jobs .Cancel" for a method in a file that imports jobs.
func examples(t *testing.T) (running int, used map[string]bool) {
	t.Helper()
	used = map[string]bool{}
	module, err := repo.Module(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range goFiles(t, "_test.go") {
		f := parse(t, file)
		count := 0
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example") {
				count++
				if hasOutput(f, fn) {
					running++
				}
			}
		}
		if count == 0 {
			continue
		}
		var imported []string
		for _, i := range f.Imports {
			if p := strings.Trim(i.Path.Value, `"`); p == module || strings.HasPrefix(p, module+"/") {
				imported = append(imported, path.Base(p))
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok {
					used[x.Name+"."+s.Sel.Name] = true
				}
				for _, p := range imported {
					used[p+" ."+s.Sel.Name] = true
				}
			}
			return true
		})
	}
	return running, used
}

func hasOutput(f *ast.File, fn *ast.FuncDecl) bool {
	for _, c := range f.Comments {
		if c.Pos() > fn.Body.Pos() && c.End() < fn.Body.End() && strings.Contains(strings.ToLower(c.Text()), "output:") {
			return true
		}
	}
	return false
}

// exportedFunctions returns the functions, not the methods, of a package.
func exportedFunctions(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, file := range goFiles(t, ".go") {
		if path.Dir(file) != dir || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, d := range parse(t, file).Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.IsExported() {
				names = append(names, fn.Name.Name)
			}
		}
	}
	if len(names) == 0 {
		t.Errorf("no exported function found in %s", dir)
	}
	return names
}

func goFiles(t *testing.T, suffix string) []string {
	t.Helper()
	files, err := docscheck.Files(root(t), suffix)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root(t), file), nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
