// Package scaffold makes other repositories of this one: the same under its final
// module path, and an application that begins as the starter. It publishes
// nothing. internal/tools/module and internal/tools/new are its commands.
package scaffold

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lastmile/internal/repo"
)

// CheckPath returns an error unless go get can find a module at the path, and
// its package is called as the repository's is.
func CheckPath(path string) error {
	host, rest, _ := strings.Cut(path, "/")
	if !regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`).MatchString(host) || !regexp.MustCompile(`^([A-Za-z0-9_.~-]+/)*lastmile$`).MatchString(rest) {
		return fmt.Errorf("scaffold: %q is no module path of the form host/owner/lastmile", path)
	}
	return nil
}

// Rename gives the repository at root another module path, in every import, go.mod,
// linter setting and document, and returns the files that it changed. What is stored or
// shown under the bare name (keys, cookies, metrics) stays.
func Rename(root, path string) ([]string, error) {
	old, err := repo.Module(root)
	if err != nil {
		return nil, err
	}
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	r, err := newRenamer(root, old, path)
	if err != nil {
		return nil, err
	}
	var changed []string
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules", "bin"}, d.Name()):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		done, err := r.file(file)
		if done {
			changed = append(changed, file)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("scaffold: rename: %w", err)
	}
	return changed, nil
}

// renamer replaces one module path by another.
type renamer struct {
	old, path string
	below     *regexp.Regexp // a package of the module, within any text
	lines     *regexp.Regexp // the module itself, where a line can mean nothing else
}

func newRenamer(root, old, path string) (*renamer, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			dirs = append(dirs, regexp.QuoteMeta(e.Name()))
		}
	}
	name := regexp.QuoteMeta(old)
	return &renamer{
		old: old, path: path,
		below: regexp.MustCompile(`(^|[^\w./~-])` + name + `(/(?:` + strings.Join(dirs, "|") + `)\b)`),
		lines: regexp.MustCompile(`(?m)^(\s*(?:module |require |replace |go get )?|\s*gofumpt: \{module-path: |\s*goimports: \{local-prefixes: \[)` +
			name + `((?: v\S+| => \S+|@\S+)?(?: // indirect)?|\}|\]\})$`),
	}, nil
}

// file renames in one file.
func (r *renamer) file(name string) (changed bool, err error) {
	goFile := strings.HasSuffix(name, ".go")
	if !goFile && !slices.Contains([]string{".mod", ".md", ".yml", ".yaml"}, filepath.Ext(name)) {
		return false, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	text := string(b)
	if goFile {
		text, err = r.source(name, text)
	} else {
		text = r.text(text, filepath.Ext(name))
	}
	if err != nil || text == string(b) {
		return false, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(name, []byte(text), info.Mode().Perm()) //nolint:gosec // the file comes from a walk of the repository
}

// source renames in Go: imports of the root by the parser, packages below it wherever
// they stand.
func (r *renamer) source(name, text string) (string, error) {
	if strings.Contains(text, strconv.Quote(r.old)) {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, text, parser.ImportsOnly)
		if err != nil {
			return "", err
		}
		for _, i := range slices.Backward(f.Imports) {
			if i.Path.Value == strconv.Quote(r.old) {
				at := set.Position(i.Path.Pos()).Offset
				text = text[:at] + strconv.Quote(r.path) + text[at+len(i.Path.Value):]
			}
		}
	}
	return r.below.ReplaceAllString(text, "${1}"+r.path+"${2}"), nil
}

// text renames in documents and settings. An import of the root is a line of its own in
// their Go blocks.
func (r *renamer) text(text, ext string) string {
	text = r.below.ReplaceAllString(text, "${1}"+r.path+"${2}")
	if ext == ".md" {
		text = strings.ReplaceAll(text, "\n\t\""+r.old+"\"\n", "\n\t\""+r.path+"\"\n")
	}
	return r.lines.ReplaceAllStringFunc(text, func(line string) string {
		return strings.Replace(line, r.old, r.path, 1)
	})
}
