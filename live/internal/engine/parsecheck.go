package engine

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// written is an element as the source has it; one without a name stands for
// text or a comment.
type written struct {
	name     string
	text     string
	comment  bool
	token    int
	children []*written
	opaque   bool // its content is not compared: raw text, or patched as HTML anyway
}

// checkParse parses the block under its open elements with a real HTML parser
// and marks where the result differs from what is written.
func (w *walker) checkParse() {
	var src strings.Builder
	for _, e := range w.open {
		src.WriteString("<" + e.name + ">")
	}
	root := w.written(&src)
	for i := len(w.open) - 1; i >= 0; i-- {
		src.WriteString("</" + w.open[i].name + ">")
	}
	container := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div}
	nodes, err := html.ParseFragment(strings.NewReader(src.String()), container)
	if err != nil {
		w.damage(-1, 0, "cannot be parsed as HTML: "+err.Error())
		return
	}
	for level, e := range w.open {
		if len(nodes) != 1 || !strings.EqualFold(nodes[0].Data, e.name) {
			w.damage(level-1, 0, "the HTML parser moves parts of it")
			return
		}
		nodes = childrenOf(nodes[0])
	}
	if token, ok := differs(root, nodes); ok {
		reason := "the HTML parser builds something else here"
		if token < 0 {
			w.damage(len(w.open)-1, 0, reason)
		} else if w.block.layout.html[token] == "" {
			w.block.layout.html[token] = w.where(token) + ": " + reason
		}
	}
}

// written builds the tree that the block's source describes, and writes source
// with plain stand-ins for the slots.
func (w *walker) written(src *strings.Builder) *written {
	b := w.block
	root := &written{token: -1}
	stack := []*written{root}
	for i, t := range b.tokens {
		top := stack[len(stack)-1]
		switch t.kind {
		case textToken:
			top.addText(b.src[t.start:t.end])
			src.WriteString(b.src[t.start:t.end])
		case slotToken:
			if b.slots[t.slot].kind == valueSlot {
				top.addText("x")
				src.WriteString("x")
				continue
			}
			top.children = append(top.children, &written{comment: true})
			src.WriteString("<!--x-->")
		case openToken:
			e := &written{name: t.name, token: i, opaque: rawElement(t.name) || b.layout.html[i] != ""}
			top.children = append(top.children, e)
			src.WriteString(standIn(b.src, t))
			if _, closed := b.layout.closes[i]; closed {
				stack = append(stack, e)
			}
		case closeToken:
			src.WriteString(standIn(b.src, t))
			for n := len(stack) - 1; n > 0; n-- {
				if b.layout.closes[stack[n].token] == i {
					stack = stack[:n]
					break
				}
			}
		case rawToken:
			text, _ := splitRefs(b.src[t.start:t.end])
			src.WriteString(strings.Join(text, "x"))
		case otherToken:
		}
	}
	return root
}

// standIn returns a tag with its slots replaced.
func standIn(src string, t token) string {
	text, _ := splitRefs(src[t.start:t.end])
	if t.kind == openToken && len(text) > 1 {
		var s strings.Builder // attributes matter little here, but their slots must not break the tag
		s.WriteString("<" + strings.ReplaceAll(t.name, refMark, "x"))
		for _, a := range t.attrs {
			if len(a.nameSlots) == 0 && a.name == "type" && len(a.valueSlots) == 0 {
				s.WriteString(" " + src[a.start:a.end])
			}
		}
		if t.selfClosed {
			s.WriteString("/")
		}
		return s.String() + ">"
	}
	return strings.Join(text, "x")
}

func (e *written) addText(s string) {
	if n := len(e.children); n > 0 && e.children[n-1].text != "" {
		e.children[n-1].text += s
		return
	}
	e.children = append(e.children, &written{text: s})
}

func childrenOf(n *html.Node) []*html.Node {
	var out []*html.Node
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		out = append(out, c)
	}
	return out
}

// differs compares what is written with what was parsed and returns the start
// tag of the smallest element that holds the first difference, -1 for the block.
func differs(e *written, parsed []*html.Node) (token int, found bool) {
	want := e.children
	if len(want) > 0 && (e.name == "pre" || e.name == "listing") {
		want = withoutFirstNewline(want)
	}
	if len(want) != len(parsed) {
		return e.token, true
	}
	for i, c := range want {
		n := parsed[i]
		switch {
		case c.comment:
			found = n.Type != html.CommentNode
		case c.name == "":
			found = n.Type != html.TextNode
		default:
			found = n.Type != html.ElementNode || !strings.EqualFold(n.Data, c.name)
		}
		if found {
			return e.token, true
		}
	}
	for i, c := range want {
		if c.name != "" && !c.opaque {
			if token, found = differs(c, childrenOf(parsed[i])); found {
				return token, true
			}
		}
	}
	return 0, false
}

// withoutFirstNewline drops the newline that parsers drop after <pre>.
func withoutFirstNewline(list []*written) []*written {
	first := *list[0]
	rest, ok := strings.CutPrefix(strings.TrimPrefix(first.text, "\r"), "\n")
	if !ok {
		return list
	}
	if rest == "" {
		return list[1:]
	}
	first.text = rest
	return append([]*written{&first}, list[1:]...)
}
