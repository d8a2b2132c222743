package livetest

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// parse reads a document or a fragment of one.
func parse(text string) *html.Node {
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil { // only a failing reader can cause it
		return &html.Node{Type: html.DocumentNode}
	}
	return doc
}

// selector is a compound selector: tag, #id, .class, [attr], [attr=value].
type selector struct {
	tag, id string
	classes []string
	attrs   [][2]string // the value "\x00" stands for any
}

const anyValue = "\x00"

// parseSelector reads a chain of compound selectors, descendants of each other.
func parseSelector(s string) []selector {
	var chain []selector
	for _, part := range splitOutside(s) {
		chain = append(chain, parseCompound(part))
	}
	return chain
}

// splitOutside splits at spaces that are not in brackets.
func splitOutside(s string) []string {
	depth := 0
	return strings.FieldsFunc(s, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return r == ' ' && depth == 0
	})
}

func parseCompound(s string) selector {
	var sel selector
	end := strings.IndexAny(s, "#.[")
	if end < 0 {
		end = len(s)
	}
	sel.tag, s = s[:end], s[end:]
	for s != "" {
		kind, rest := s[0], s[1:]
		if kind == '[' {
			inside, tail, _ := strings.Cut(rest, "]")
			name, value, exact := strings.Cut(inside, "=")
			if !exact {
				value = anyValue
			}
			sel.attrs = append(sel.attrs, [2]string{name, strings.Trim(value, `"'`)})
			s = tail
			continue
		}
		end := strings.IndexAny(rest, "#.[")
		if end < 0 {
			end = len(rest)
		}
		if kind == '#' {
			sel.id = rest[:end]
		} else {
			sel.classes = append(sel.classes, rest[:end])
		}
		s = rest[end:]
	}
	return sel
}

func (s *selector) matches(n *html.Node) bool {
	if n.Type != html.ElementNode || (s.tag != "" && s.tag != "*" && s.tag != n.Data) {
		return false
	}
	if id, _ := attr(n, "id"); s.id != "" && id != s.id {
		return false
	}
	class, _ := attr(n, "class")
	for _, c := range s.classes {
		if !slices.Contains(strings.Fields(class), c) {
			return false
		}
	}
	for _, a := range s.attrs {
		if v, ok := attr(n, a[0]); !ok || (a[1] != anyValue && v != a[1]) {
			return false
		}
	}
	return true
}

// find returns the first element that the chain selects, or nil.
func find(root *html.Node, chain []selector) *html.Node {
	for n := range root.Descendants() {
		if len(chain) == 0 || !chain[0].matches(n) {
			continue
		}
		if len(chain) == 1 {
			return n
		}
		if m := find(n, chain[1:]); m != nil {
			return m
		}
	}
	return nil
}

// closest returns n or its nearest ancestor with the property.
func closest(n *html.Node, ok func(*html.Node) bool) *html.Node {
	for ; n != nil; n = n.Parent {
		if n.Type == html.ElementNode && ok(n) {
			return n
		}
	}
	return nil
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func hasAttr(name string) func(*html.Node) bool {
	return func(n *html.Node) bool {
		_, ok := attr(n, name)
		return ok
	}
}

// text returns what a reader sees, with white space folded.
func text(n *html.Node) string {
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			b.WriteString(n.Data)
		case n.DataAtom == atom.Script || n.DataAtom == atom.Style || n.DataAtom == atom.Noscript || n.DataAtom == atom.Head:
			return
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
		if n.Type == html.ElementNode && !inline[n.DataAtom] {
			b.WriteByte(' ')
		}
	}
	walk(n)
	return strings.Join(strings.Fields(b.String()), " ")
}

// inline elements do not part words.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.B: true, atom.Code: true, atom.Em: true, atom.I: true, atom.Mark: true,
	atom.Small: true, atom.Span: true, atom.Strong: true, atom.Sub: true, atom.Sup: true, atom.U: true,
}

// fields returns what a form would send, as far as its HTML says.
func fields(form *html.Node) map[string]any {
	data := map[string]any{}
	add := func(name, value string) {
		switch old := data[name].(type) {
		case nil:
			data[name] = value
		case string:
			data[name] = []string{old, value}
		case []string:
			data[name] = append(old, value)
		}
	}
	for n := range form.Descendants() {
		name, _ := attr(n, "name")
		if n.Type != html.ElementNode || name == "" || hasAttr("disabled")(n) {
			continue
		}
		value, _ := attr(n, "value")
		kind, _ := attr(n, "type")
		switch n.DataAtom {
		case atom.Input:
			if kind == "checkbox" || kind == "radio" {
				if !hasAttr("checked")(n) {
					continue
				}
				if !hasAttr("value")(n) {
					value = "on"
				}
			}
			if kind != "submit" && kind != "button" && kind != "image" && kind != "file" {
				add(name, value)
			}
		case atom.Textarea:
			add(name, text(n))
		case atom.Select:
			for o := range n.Descendants() {
				if o.DataAtom == atom.Option && hasAttr("selected")(o) {
					v, ok := attr(o, "value")
					if !ok {
						v = text(o)
					}
					add(name, v)
				}
			}
		default:
		}
	}
	return data
}

// values returns an element's live-value-* attributes.
func values(n *html.Node) map[string]any {
	data := map[string]any{}
	for _, a := range n.Attr {
		if name, ok := strings.CutPrefix(a.Key, "live-value-"); ok {
			data[name] = a.Val
		}
	}
	return data
}
