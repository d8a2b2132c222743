package guide

import (
	"bytes"
	"html/template"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// section is what stands below a heading, as text.
type section struct {
	heading, anchor, text string
}

// render makes a document's HTML, its title and its sections. HTML in the source
// is left out.
func (g *guide) render(d *doc, source []byte) error {
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	root := md.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(anchors{}))))
	g.relink(root, path.Dir(d.file))
	d.title, d.sections = split(root, source)
	switch {
	case d.title == "":
		d.title = d.file
	case strings.HasPrefix(d.file, decisions) && path.Base(d.file) != "README.md":
		d.title = "Decision " + d.title // they are numbered as chapters are
	}
	var out bytes.Buffer
	if err := md.Renderer().Render(&out, source, root); err != nil {
		return err
	}
	// A table is wider than a phone, and so is code: both scroll, by the keyboard too.
	whole := strings.NewReplacer("<table>", `<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>`,
		"</table>", "</table></div>", "<pre>", `<pre tabindex="0">`).Replace(out.String())
	d.content = template.HTML(whole) //nolint:gosec // goldmark made it of our own files, without their HTML
	return nil
}

// anchors names headings as the usual Markdown hosts do: the files link so.
type anchors map[string]bool

// Generate implements parser.IDs.
func (a anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	name := slug(string(value))
	id := name
	for n := 1; id == "" || a[id]; n++ {
		id = name + "-" + strconv.Itoa(n)
	}
	a[id] = true
	return []byte(id)
}

// Put implements parser.IDs.
func (a anchors) Put(value []byte) { a[string(value)] = true }

// slug keeps letters, digits and dashes of a heading.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(title)) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

// relink makes links between files links between pages. What is not shown here, a
// file of the program, is named with its path.
func (g *guide) relink(root ast.Node, dir string) {
	var dead []ast.Node
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Image:
			dead = append(dead, n)
		case *ast.Link:
			to, ok := g.target(dir, string(n.Destination))
			if !ok {
				dead = append(dead, n)
			}
			n.Destination = []byte(to)
		}
		return ast.WalkContinue, nil
	})
	for _, n := range dead {
		parent := n.Parent()
		for c := n.FirstChild(); c != nil; c = n.FirstChild() {
			parent.InsertBefore(parent, n, c)
		}
		parent.RemoveChild(parent, n)
	}
}

// target is the address of what a link in a directory leads to.
func (g *guide) target(dir, destination string) (to string, ok bool) {
	u, err := url.Parse(destination)
	switch {
	case err != nil:
		return "", false
	case u.Scheme == "http", u.Scheme == "https":
		return destination, true
	case u.Scheme != "" || u.Host != "":
		return "", false
	case u.Path == "":
		return destination, true
	}
	file := path.Join("docs", dir, u.Path)
	d := g.find(strings.TrimPrefix(file, "docs/"))
	if d == nil || !strings.HasPrefix(file, "docs/") {
		return "", false
	}
	if u.Fragment != "" {
		return d.path + "#" + u.Fragment, true
	}
	return d.path, true
}

// split returns the document's title, and its text heading by heading.
func split(root ast.Node, source []byte) (title string, sections []section) {
	now := section{}
	var b strings.Builder
	end := func() {
		now.text = strings.Join(strings.Fields(b.String()), " ")
		if now.heading != "" || now.text != "" {
			sections = append(sections, now)
		}
		b.Reset()
	}
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok {
			plain(&b, n, source)
			continue
		}
		end()
		var words strings.Builder
		plain(&words, h, source)
		now = section{heading: strings.TrimSpace(words.String())}
		if id, ok := h.AttributeString("id"); ok {
			if id, ok := id.([]byte); ok {
				now.anchor = string(id)
			}
		}
		if title == "" && h.Level == 1 {
			title = now.heading
		}
	}
	end()
	return title, sections
}

// plain writes a node's text.
func plain(b *strings.Builder, n ast.Node, source []byte) {
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function returns no error
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Value(source))
				if n.SoftLineBreak() || n.HardLineBreak() {
					b.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			if entering {
				for i := range n.Lines().Len() {
					line := n.Lines().At(i)
					b.Write(line.Value(source))
				}
			}
		}
		if !entering && n.Type() == ast.TypeBlock {
			b.WriteByte(' ')
		}
		return ast.WalkContinue, nil
	})
}
