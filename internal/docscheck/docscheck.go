// Package docscheck reads the repository's Markdown for its tests: what the
// documentation names has to exist. It does not judge what the documentation
// says. Only its own tests use it.
package docscheck

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// Doc is one Markdown file.
type Doc struct {
	// Path is relative to the repository's root, with slashes.
	Path string
	// Text is the file without its fenced code blocks, whose lines are empty,
	// so that line numbers hold.
	Text string
	// Blocks are the fenced code blocks.
	Blocks []Block
}

// Block is a fenced code block.
type Block struct {
	Lang, Code string
	Line       int
}

// Ref is something that a line of a Doc names.
type Ref struct {
	Doc  string
	Line int
	Name string
}

func (r Ref) String() string { return fmt.Sprintf("%s:%d: %s", r.Doc, r.Line, r.Name) }

// Files returns the paths below root, with slashes, of all files whose name
// ends in suffix, without what tools put there.
func Files(root, suffix string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, suffix) {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("docscheck: list *%s: %w", suffix, err)
	}
	return found, nil
}

// Docs returns every Markdown file below root.
func Docs(root string) ([]Doc, error) {
	paths, err := Files(root, ".md")
	if err != nil {
		return nil, err
	}
	var docs []Doc
	for _, path := range paths {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, fmt.Errorf("docscheck: %w", err)
		}
		docs = append(docs, Parse(path, string(b)))
	}
	return docs, nil
}

// Parse splits a Markdown text.
func Parse(path, text string) Doc {
	d := Doc{Path: path}
	var prose, code []string
	var block *Block
	for i, line := range strings.Split(text, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && block == nil:
			block = &Block{Lang: strings.Trim(line, " `"), Line: i + 1}
		case fence:
			block.Code = strings.Join(code, "\n") + "\n"
			d.Blocks = append(d.Blocks, *block)
			block, code = nil, nil
		case block != nil:
			code = append(code, line)
		default:
			prose = append(prose, line)
			continue
		}
		prose = append(prose, "")
	}
	d.Text = strings.Join(prose, "\n")
	return d
}

// Find returns what the first group of re matches, line by line.
func (d Doc) Find(re *regexp.Regexp) []Ref {
	var refs []Ref
	for i, line := range strings.Split(d.Text, "\n") {
		for _, m := range re.FindAllStringSubmatch(line, -1) {
			refs = append(refs, Ref{d.Path, i + 1, m[1]})
		}
	}
	return refs
}

// Anchors returns the fragment names of the Doc's headings, as the usual
// Markdown hosts make them.
func (d Doc) Anchors() map[string]bool {
	anchors := map[string]bool{}
	for line := range strings.SplitSeq(d.Text, "\n") {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		anchors[Slug(strings.TrimSpace(title))] = true
	}
	return anchors
}

// Slug returns a heading's fragment name.
func Slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}
