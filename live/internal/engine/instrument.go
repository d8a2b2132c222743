package engine

import (
	"fmt"
	"html/template"
	"strings"
	"text/template/parse"
)

// instrumenter turns the escaped trees of one clone into blocks.
type instrumenter struct {
	set  *Set
	tmpl *template.Template
	body map[string]*block
	// text holds the nodes of each block's statics.
	text map[*block][]*parse.TextNode
	list map[*block]*parse.ListNode // the nodes of each block, for the typed passes
}

// template instruments a template body once and all that it calls.
func (in *instrumenter) template(name string) *block {
	if b := in.body[name]; b != nil {
		return b
	}
	tree := in.tmpl.Lookup(name).Tree
	b := in.newBlock(name, tree, tree.Root)
	in.body[name] = b
	in.rewrite(b, tree, tree.Root)
	in.set.roots[name] = tree.Root
	return b
}

func (in *instrumenter) newBlock(name string, tree *parse.Tree, list *parse.ListNode) *block {
	b := &block{id: len(in.set.blocks), name: name, where: where(tree, list), key: rowKey{call: -1}}
	in.set.blocks = append(in.set.blocks, b)
	in.list[b] = list
	return b
}

// where returns template:line:column of a node. A tree built by hand may not
// know its text; then the template's name must do.
func where(tree *parse.Tree, n parse.Node) (location string) {
	defer func() {
		if recover() != nil {
			location = tree.Name
		}
	}()
	if l, ok := n.(*parse.ListNode); ok && len(l.Nodes) > 0 {
		n = l.Nodes[0]
	}
	location, _ = tree.ErrorContext(n)
	return location
}

// callable says whether a call's body is instrumented: not one that
// html/template derived for another context than text.
func (in *instrumenter) callable(name string) bool {
	return !strings.HasPrefix(name, opaquePrefix) && in.tmpl.Lookup(name) != nil
}

// rewriter rebuilds one list of nodes so that its text nodes are exactly the
// block's n+1 statics, empty ones included, with one slot between two.
type rewriter struct {
	*instrumenter
	block *block
	tree  *parse.Tree
	out   []parse.Node
	text  *parse.TextNode // the static being collected; nil before the first
	marks []*parse.TextNode
}

// rewrite rebuilds list in place for b, and the lists below it.
//
// Text is merged over what prints nothing, but never moved across a break or
// continue: before the first static those stay where they are, so that a row
// they skip never starts; later they make a slot.
func (in *instrumenter) rewrite(b *block, tree *parse.Tree, list *parse.ListNode) {
	w := &rewriter{instrumenter: in, block: b, tree: tree}
	for _, n := range list.Nodes {
		if !w.node(n) {
			break
		}
	}
	w.open()
	list.Nodes = w.out
	for _, n := range w.marks {
		b.statics = append(b.statics, string(n.Text))
	}
	in.text[b] = w.marks
}

// mark makes all statics known to the set's renders. Their text is final then.
func (in *instrumenter) mark() {
	for _, b := range in.set.blocks {
		for i, n := range in.text[b] {
			in.set.marks.mark(n, b, i)
		}
	}
}

// node adds one node. It returns false when what follows can never run.
func (w *rewriter) node(n parse.Node) bool {
	switch m := n.(type) {
	case *parse.TextNode:
		if len(m.Text) > 0 {
			w.open()
			w.text.Text = append(w.text.Text, m.Text...)
		}
		return true
	case *parse.CommentNode:
		return true
	case *parse.BreakNode, *parse.ContinueNode:
		w.open()
		w.out = append(w.out, n)
		return false
	}
	does := effectOf(n)
	if !does.print && (!does.jump || w.text == nil) {
		w.out = append(w.out, n)
		return true
	}
	switch m := n.(type) {
	case *parse.ActionNode:
		w.slot(slot{kind: valueSlot}, n)
	case *parse.TemplateNode:
		w.call(m)
	case *parse.IfNode:
		i := w.slot(slot{kind: branchSlot, jumps: does.jump, cond: condition(m)}, n)
		w.alternatives(&m.BranchNode, i, "if")
	case *parse.WithNode:
		i := w.slot(slot{kind: branchSlot, jumps: does.jump}, n)
		w.alternatives(&m.BranchNode, i, "with")
	case *parse.RangeNode:
		i := w.slot(slot{kind: rowsSlot, jumps: does.jump}, n)
		w.fill(m.List, i, "row").row = true
		if m.ElseList != nil {
			w.fill(m.ElseList, i, "empty")
		}
	}
	return true
}

// open makes sure that a static is being collected.
func (w *rewriter) open() {
	if w.text != nil {
		return
	}
	w.text = &parse.TextNode{NodeType: parse.NodeText}
	w.out = append(w.out, w.text)
	w.marks = append(w.marks, w.text)
}

// slot adds a slot that n fills, and opens the static behind it.
func (w *rewriter) slot(s slot, n parse.Node) int {
	w.open()
	s.where = where(w.tree, n)
	w.block.slots = append(w.block.slots, s)
	w.out = append(w.out, n)
	w.text = nil
	w.open()
	return len(w.block.slots) - 1
}

func (w *rewriter) call(n *parse.TemplateNode) {
	if !w.callable(n.Name) {
		w.slot(slot{kind: valueSlot, holds: w.textOf(n.Name, map[string]bool{})}, n)
		return
	}
	i := w.slot(slot{kind: callSlot, callee: n.Name}, n)
	w.block.slots[i].fill = []*block{w.template(n.Name)}
	w.block.slots[i].total = true
}

// textOf returns the text of a template and of all that it calls. What html/template
// has derived from one for another context has the same text.
func (in *instrumenter) textOf(name string, seen map[string]bool) string {
	name, _, _ = strings.Cut(name, derivedSuffix)
	t := in.tmpl.Lookup(name)
	if seen[name] || t == nil || t.Tree == nil {
		return ""
	}
	seen[name] = true
	var text strings.Builder
	var collect func(n parse.Node)
	both := func(b *parse.BranchNode) {
		collect(b.List)
		if b.ElseList != nil {
			collect(b.ElseList)
		}
	}
	collect = func(n parse.Node) {
		switch n := n.(type) {
		case *parse.ListNode:
			for _, m := range n.Nodes {
				collect(m)
			}
		case *parse.TextNode:
			text.Write(n.Text)
		case *parse.IfNode:
			both(&n.BranchNode)
		case *parse.WithNode:
			both(&n.BranchNode)
		case *parse.RangeNode:
			both(&n.BranchNode)
		case *parse.TemplateNode:
			text.WriteString(in.textOf(n.Name, seen))
		}
	}
	collect(t.Tree.Root)
	return text.String()
}

// fill makes list a block of its own that fills slot i.
func (w *rewriter) fill(list *parse.ListNode, i int, kind string) *block {
	b := w.newBlock(fmt.Sprintf("%s/%s%d", w.block.name, kind, i), w.tree, list)
	b.parent, b.at = w.block, i
	s := &w.block.slots[i]
	s.fill = append(s.fill, b)
	w.rewrite(b, w.tree, list)
	return b
}

// alternatives makes a block of each branch. An else that holds only an if or
// with is an else-if: one more alternative of the same slot.
func (w *rewriter) alternatives(n *parse.BranchNode, i int, kind string) {
	w.fill(n.List, i, kind)
	if n.ElseList == nil {
		return
	}
	if len(n.ElseList.Nodes) == 1 {
		switch m := n.ElseList.Nodes[0].(type) {
		case *parse.IfNode:
			w.alternatives(&m.BranchNode, i, kind)
			return
		case *parse.WithNode:
			w.alternatives(&m.BranchNode, i, kind)
			return
		}
	}
	w.fill(n.ElseList, i, "else")
	w.block.slots[i].total = true
}

// effect is what running a node may do.
type effect struct {
	print bool // write output
	jump  bool // break or continue a range around it
}

func effectOf(n parse.Node) effect {
	switch n := n.(type) {
	case *parse.ListNode:
		var e effect
		if n != nil {
			for _, m := range n.Nodes {
				e = e.or(effectOf(m))
			}
		}
		return e
	case *parse.TextNode:
		return effect{print: len(n.Text) > 0}
	case *parse.ActionNode:
		return effect{print: len(n.Pipe.Decl) == 0}
	case *parse.TemplateNode:
		return effect{print: true}
	case *parse.IfNode:
		return effectOf(n.List).or(effectOf(n.ElseList))
	case *parse.WithNode:
		return effectOf(n.List).or(effectOf(n.ElseList))
	case *parse.RangeNode:
		body, other := effectOf(n.List), effectOf(n.ElseList)
		return effect{print: body.print || other.print, jump: other.jump} // a body's jumps end there
	case *parse.BreakNode, *parse.ContinueNode:
		return effect{jump: true}
	}
	return effect{}
}

func (e effect) or(o effect) effect {
	return effect{print: e.print || o.print, jump: e.jump || o.jump}
}

// condition returns the text of an if's condition when two ifs with that text
// take the same way in one render: no variables (they may be assigned), no else.
func condition(n *parse.IfNode) string {
	s := n.Pipe.String()
	if n.ElseList != nil || len(n.Pipe.Decl) > 0 || strings.ContainsRune(s, '$') {
		return ""
	}
	return s
}
