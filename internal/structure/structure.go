// Package structure reads the repository's Go packages and counts what its
// structure is held to: fields, methods, lines, and what an exported signature
// names. It judges nothing and is no linter: the bounds are in its test. Nothing
// but that test uses it.
package structure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Package is one package without its tests, checked by go/types.
type Package struct {
	// Path is the import path, Name the package's name.
	Path, Name string
	Files      []*ast.File
	Types      *types.Package
	Info       *types.Info
	fset       *token.FileSet
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Name, Dir, Export string
	GoFiles                       []string
	DepOnly                       bool
}

// Load returns the packages that match the patterns of go list, seen from a
// directory. What they import is read from the compiler's export data.
func Load(dir string, patterns ...string) ([]*Package, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Name,Dir,Export,GoFiles,DepOnly", "--"}, patterns...)
	cmd := exec.Command("go", args...) //nolint:noctx // the patterns are the test's own; it takes as long as compiling does
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("structure: go list: %w: %s", err, stderr.Bytes())
	}
	var wanted []listed
	exports := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("structure: go list: %w", err)
		}
		exports[l.ImportPath] = l.Export
		if !l.DepOnly {
			wanted = append(wanted, l)
		}
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var pkgs []*Package
	for _, l := range wanted {
		p, err := check(fset, imports, l)
		if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
	return pkgs, nil
}

func check(fset *token.FileSet, imports types.Importer, l listed) (*Package, error) {
	p := &Package{Path: l.ImportPath, Name: l.Name, fset: fset, Info: &types.Info{
		Defs: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{},
	}}
	for _, name := range l.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("structure: %w", err)
		}
		p.Files = append(p.Files, f)
	}
	var err error
	cfg := types.Config{Importer: imports}
	if p.Types, err = cfg.Check(l.ImportPath, fset, p.Files, p.Info); err != nil {
		return nil, fmt.Errorf("structure: check %s: %w", l.ImportPath, err)
	}
	return p, nil
}

// File returns the base name of the file that holds a position.
func (p *Package) File(pos token.Pos) string { return filepath.Base(p.fset.Position(pos).Filename) }

// Line returns a position as file:line.
func (p *Package) Line(pos token.Pos) string {
	return fmt.Sprintf("%s/%s:%d", p.Path, p.File(pos), p.fset.Position(pos).Line)
}

// Func is a function or method with a body.
type Func struct {
	Name  string
	Lines int
	Pos   token.Pos
}

// Funcs lists the package's functions and methods.
func (p *Package) Funcs() []Func {
	var list []Func
	for _, f := range p.Files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				lines := p.fset.Position(fn.End()).Line - p.fset.Position(fn.Pos()).Line + 1
				list = append(list, Func{fn.Name.Name, lines, fn.Pos()})
			}
		}
	}
	return list
}

// Methods counts the methods that are declared for each of the package's types.
func (p *Package) Methods() map[string]int {
	counts := map[string]int{}
	for _, name := range p.Types.Scope().Names() {
		if t, ok := p.Types.Scope().Lookup(name).(*types.TypeName); ok && !t.IsAlias() {
			if n, ok := t.Type().(*types.Named); ok {
				counts[name] = n.NumMethods()
			}
		}
	}
	return counts
}
