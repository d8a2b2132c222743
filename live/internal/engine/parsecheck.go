package engine

import (
	"slices"
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
	for _, e := range slices.Backward(w.open) {
		src.WriteString("</" + e.name + ">")
	}
	nodes, depth := descend(src.String(), w.open)
	if depth < len(w.open) {
		w.damage(depth-1, 0, "the HTML parser moves parts of it")
		return
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

// descend parses src as a page and follows the chain of elements that it starts
// with. depth is the number of elements that lie in each other as they should,
// and nodes what the last of them holds.
func descend(src string, chain []openElement) (nodes []*html.Node, depth int) {
	container := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div}
	nodes, err := html.ParseFragment(strings.NewReader(src), container)
	if err != nil {
		return nil, 0 // strings do not fail to be read
	}
	for _, e := range chain {
		if len(nodes) != 1 || !strings.EqualFold(nodes[0].Data, e.name) {
			return nil, depth
		}
		nodes = childrenOf(nodes[0])
		depth++
	}
	return nodes, depth
}

// checkNesting checks that the innermost open element may lie where it does,
// for elements that another block opens and checkParse does not see.
func (w *walker) checkNesting(token int) {
	var src strings.Builder
	for _, e := range w.open {
		src.WriteString("<" + e.name + ">")
	}
	if _, depth := descend(src.String(), w.open); depth < len(w.open) {
		w.damage(depth-1, token, "the HTML parser moves parts of it")
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
	if len(want) > 0 && dropsNewline(e.name) {
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
			found = n.Type != html.TextNode || n.Data != asParsed(c.text)
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

// asParsed returns source text as a parser has it.
func asParsed(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	return html.UnescapeString(strings.ReplaceAll(text, "\x00", ""))
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

// contained returns the level of the innermost open element, from level up,
// whose end tag ends the unclosed elements inside it. Not every one does: </b>
// and </span> leave a <div> open, and a <b> goes on behind a </div>.
func (w *walker) contained(level int, unclosed []string) int {
	for ; level >= 0; level-- {
		e := w.open[level]
		if !e.foreign && endsAll(w.open[:level], e.name, unclosed) {
			return level
		}
		unclosed = append([]string{e.name}, unclosed...)
	}
	return -1
}

// endsAll says whether what follows the element lands beside it.
func endsAll(around []openElement, name string, unclosed []string) bool {
	var src strings.Builder
	for _, e := range around {
		src.WriteString("<" + e.name + ">")
	}
	src.WriteString("<" + name + "><" + strings.Join(unclosed, "><") + ">")
	src.WriteString("</" + name + ">")
	probe := "wbr"
	if n := len(around); n > 0 {
		switch around[n-1].name {
		case "table", "tbody", "thead", "tfoot", "tr", "colgroup", "select":
			probe = "" // nothing but a comment is welcome there
		}
	}
	if probe == "" {
		src.WriteString("<!---->")
	} else {
		src.WriteString("<" + probe + ">")
	}
	nodes, depth := descend(src.String(), around)
	if depth < len(around) || len(nodes) != 2 || !strings.EqualFold(nodes[0].Data, name) {
		return false
	}
	last := nodes[1]
	return last.Type == html.CommentNode || last.Data == probe
}
