package engine

import (
	"fmt"
	"reflect"
	"strings"
	"text/template/parse"

	"lastmile/live/internal/engine/share"
	"lastmile/live/internal/engine/statictype"
)

// accelerate uses the state's type to print plain values without
// html/template's reflection (typed printing), to skip rows that did not change
// (row memo), and, if asked to, to render equal states once (shared renders).
// The first two edit the set's own instrumented trees, which never meet another
// writer.
func (s *Set) accelerate(in *instrumenter, o Options) {
	if s.stateType == nil {
		if o.Shared {
			s.unshared = "the type of the states is not known"
		}
		return
	}
	own, known := ownFuncs(s.source)
	ty := &typer{instrumenter: in, dots: map[*block]reflect.Type{}, mixed: map[*block]bool{}, own: own, declared: o.Pure}
	ty.body(s.root, s.stateType)
	if known && !o.NoMemo {
		for b, dot := range ty.dots {
			if !ty.mixed[b] {
				ty.memoize(b, dot)
			}
		}
	}
	if !o.NoTyped {
		for b, dot := range ty.dots {
			if !ty.mixed[b] {
				ty.print(b, dot)
			}
		}
	}
	switch {
	case !o.Shared:
	case !known:
		s.unshared = "this Go version does not tell which functions a template has"
	default:
		s.shared, s.unshared = share.New[tree](share.Source{
			Template: s.name, Body: s.body, State: s.stateType, Funcs: own, Pure: o.Pure,
		}, &s.keys)
	}
}

// body returns the body of a template as its author wrote it; nil when there is
// none.
func (s *Set) body(name string) *parse.ListNode {
	t := s.source.Lookup(name)
	if t == nil || t.Tree == nil {
		return nil
	}
	return t.Tree.Root
}

// typer finds the type of dot in each block.
type typer struct {
	*instrumenter
	dots     map[*block]reflect.Type // nil where it is not known
	mixed    map[*block]bool         // blocks that are used with several types
	own      map[string]bool         // the application's functions
	declared []string                // those that it declares pure
}

// body types a template body that is called with dot of a type; nil for unknown.
func (ty *typer) body(b *block, dot reflect.Type) {
	known, seen := ty.dots[b]
	switch {
	case !seen:
		ty.dots[b] = dot
		ty.slots(b, dot, dot)
	case known != dot && !ty.mixed[b]:
		ty.mix(b)
	}
}

// mix takes back what is known of a block and of all below it.
func (ty *typer) mix(b *block) {
	if ty.mixed[b] {
		return
	}
	ty.mixed[b] = true
	for i := range b.slots {
		for _, child := range b.slots[i].fill {
			ty.mix(child)
		}
	}
}

// slots types the blocks in b's slots. root is the type of the template body's
// dot, which is what $ is.
func (ty *typer) slots(b *block, dot, root reflect.Type) {
	at := -1 // slots filled so far
	for _, n := range ty.list[b].Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			at++
		case *parse.TemplateNode:
			if s := ty.slotAt(b, at); s != nil && s.kind == callSlot {
				ty.body(s.fill[0], statictype.Pipe(n.Pipe, dot, root))
			}
		case *parse.IfNode:
			ty.branch(b, at, &n.BranchNode, dot, root)
		case *parse.WithNode:
			ty.branch(b, at, &n.BranchNode, dot, root)
		case *parse.RangeNode:
			ty.branch(b, at, &n.BranchNode, dot, root)
		}
	}
}

// slotAt returns the slot behind the k-th static; nil for a node before the
// first, which prints nothing.
func (ty *typer) slotAt(b *block, k int) *slot {
	if k < 0 || k >= len(b.slots) {
		return nil
	}
	return &b.slots[k]
}

// branch types the blocks of one control node; an else-if is a branch inside
// the else that has no block of its own.
func (ty *typer) branch(b *block, at int, n *parse.BranchNode, dot, root reflect.Type) {
	s := ty.slotAt(b, at)
	if s == nil {
		return
	}
	inner := dot
	if n.Type() != parse.NodeIf {
		inner = statictype.Pipe(n.Pipe, dot, root)
	}
	if n.Type() == parse.NodeRange {
		inner = statictype.Element(inner)
	}
	for _, child := range s.fill {
		switch ty.list[child] {
		case n.List:
			ty.dots[child] = inner
			ty.slots(child, inner, root)
		case n.ElseList:
			ty.dots[child] = dot
			ty.slots(child, dot, root)
		}
	}
	if n.ElseList == nil {
		return
	}
	for _, m := range n.ElseList.Nodes {
		switch m := m.(type) {
		case *parse.IfNode:
			ty.branch(b, at, &m.BranchNode, dot, root)
		case *parse.WithNode:
			ty.branch(b, at, &m.BranchNode, dot, root)
		}
	}
}

// print drops the escapers of b's plainly typed values: the renderer escapes
// strings itself, and nothing needs to for numbers and booleans.
func (ty *typer) print(b *block, dot reflect.Type) {
	at := -1
	for _, n := range ty.list[b].Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			at++
		case *parse.ActionNode:
			s := ty.slotAt(b, at)
			if s == nil || s.kind != valueSlot || len(n.Pipe.Decl) > 0 {
				continue
			}
			if value, escape, ok := plainPrint(n.Pipe, dot, ty.rootDot(b)); ok {
				n.Pipe.Cmds = value
				s.escape = escape
			}
		}
	}
}

// rootDot returns the type of $ in b.
func (ty *typer) rootDot(b *block) reflect.Type {
	for b.parent != nil {
		b = b.parent
	}
	return ty.dots[b]
}

// plainPrint returns the commands of an escaped pipeline without its escapers,
// if the value's type makes their effect known: on a string that of
// appendEscaped, on integers and booleans none.
func plainPrint(p *parse.PipeNode, dot, root reflect.Type) (value []*parse.CommandNode, escape, ok bool) {
	if len(p.Cmds) < 2 || len(p.Cmds[0].Args) != 1 {
		return nil, false, false
	}
	t := statictype.Of(p.Cmds[0].Args[0], dot, root)
	if t == nil || printsItself(t) {
		return nil, false, false
	}
	plain := t == reflect.TypeFor[string]()
	if !plain && !digits(t) {
		return nil, false, false
	}
	for _, c := range p.Cmds[1:] {
		id, isID := c.Args[0].(*parse.IdentifierNode)
		if !isID || len(c.Args) != 1 || !knownEscaper(id.Ident, plain) {
			return nil, false, false
		}
	}
	if plain && len(p.Cmds) > 2 {
		return nil, false, false
	}
	return p.Cmds[:1], plain, true
}

// knownEscaper says whether an escaper does to strings what appendEscaped does,
// or nothing to digits, signs and the words true and false.
func knownEscaper(name string, onString bool) bool {
	switch strings.TrimPrefix(name, "_html_template_") {
	case "htmlescaper", "attrescaper", "rcdataescaper":
		return true
	case "urlfilter", "urlnormalizer", "urlescaper", "nospaceescaper":
		return !onString
	}
	return false
}

// digits says whether a type prints as an integer or boolean.
func digits(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	default:
		return false
	}
}

// printsItself says whether a type has a method that decides how it is printed,
// or could be reached through a pointer that has.
func printsItself(t reflect.Type) bool {
	for _, u := range []reflect.Type{t, reflect.PointerTo(t)} {
		if u.Implements(reflect.TypeFor[error]()) || u.Implements(reflect.TypeFor[fmt.Stringer]()) ||
			u.Implements(reflect.TypeFor[fmt.Formatter]()) {
			return true
		}
		for _, name := range []string{"MarshalJSON", "MarshalText"} {
			if _, ok := u.MethodByName(name); ok {
				return true
			}
		}
	}
	return false
}
