package engine

import (
	"html/template"
	"reflect"
	"slices"
	"strconv"
	"text/template/parse"

	"lastmile/live/internal/engine/digest"
	"lastmile/live/internal/engine/statictype"
)

// memoFunc is the function that a memoised range calls: {{range memoFunc 3 .Rows}}.
const memoFunc = "_live_rows"

// memo is a range whose rows are flat structs and whose body depends on nothing
// but the row. A row whose fields are as before is not executed: its part of
// the base tree is copied.
type memo struct{ row *digest.Plan }

// memoize rewrites the ranges of b that qualify.
func (ty *typer) memoize(b *block, dot reflect.Type) {
	at := -1
	for _, n := range ty.list[b].Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			at++
		case *parse.RangeNode:
			s := ty.slotAt(b, at)
			if s == nil || len(s.fill) != 1 || ty.list[s.fill[0]] != n.List || n.ElseList != nil || len(n.Pipe.Decl) > 0 {
				continue // also a range that prints nothing: it has no slot
			}
			t := statictype.Pipe(n.Pipe, dot, ty.rootDot(b))
			if t == nil || t.Kind() != reflect.Slice {
				continue
			}
			row, refused := digest.PlanFor(t.Elem())
			if refused != "" || !row.Flat() || !ty.pure(n.List, t.Elem(), nil, map[string]bool{}) {
				continue
			}
			ty.set.memos = append(ty.set.memos, &memo{row: row})
			n.Pipe = memoPipe(n.Pipe, len(ty.set.memos)-1)
		}
	}
}

// memoPipe returns the pipeline memoFunc id value.
func memoPipe(p *parse.PipeNode, id int) *parse.PipeNode {
	text := strconv.Itoa(id)
	call := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: p.Pos, Args: []parse.Node{
		parse.NewIdentifier(memoFunc).SetPos(p.Pos),
		&parse.NumberNode{NodeType: parse.NodeNumber, Pos: p.Pos, IsInt: true, Int64: int64(id), Text: text},
		p.Cmds[0].Args[0],
	}}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: p.Pos, Line: p.Line, Cmds: []*parse.CommandNode{call}}
}

// pure says whether running n depends on nothing but the fields of dot, which
// is of type dot; root is the type of $ in a called template, nil in the row
// itself, where $ is the whole state.
func (ty *typer) pure(n parse.Node, dot, root reflect.Type, calling map[string]bool) bool {
	switch n := n.(type) {
	case *parse.TextNode:
		return true
	case *parse.ListNode:
		return n == nil || !slices.ContainsFunc(n.Nodes, func(m parse.Node) bool { return !ty.pure(m, dot, root, calling) })
	case *parse.ActionNode:
		return ty.purePipe(n.Pipe, dot, root)
	case *parse.IfNode:
		return ty.purePipe(n.Pipe, dot, root) && ty.pure(n.List, dot, root, calling) && ty.pure(n.ElseList, dot, root, calling)
	case *parse.WithNode:
		inner := statictype.Pipe(n.Pipe, dot, root)
		return inner != nil && ty.purePipe(n.Pipe, dot, root) &&
			ty.pure(n.List, inner, root, calling) && ty.pure(n.ElseList, dot, root, calling)
	case *parse.TemplateNode:
		b := ty.instrumenter.body[n.Name]
		inner := statictype.Pipe(n.Pipe, dot, root)
		if b == nil || inner == nil || calling[n.Name] || !ty.purePipe(n.Pipe, dot, root) {
			return false
		}
		calling[n.Name] = true
		defer delete(calling, n.Name)
		return ty.pure(ty.list[b], inner, inner, calling)
	}
	return false
}

func (ty *typer) purePipe(p *parse.PipeNode, dot, root reflect.Type) bool {
	if len(p.Decl) > 0 {
		return false
	}
	for _, c := range p.Cmds {
		for _, a := range c.Args {
			if !ty.pureArg(a, dot, root) {
				return false
			}
		}
	}
	return true
}

func (ty *typer) pureArg(n parse.Node, dot, root reflect.Type) bool {
	switch n := n.(type) {
	case *parse.NumberNode, *parse.StringNode, *parse.BoolNode, *parse.NilNode:
		return true
	case *parse.DotNode, *parse.FieldNode, *parse.VariableNode:
		t := statictype.Of(n, dot, root)
		return t != nil && plainData(t)
	case *parse.PipeNode:
		return ty.purePipe(n, dot, root)
	case *parse.IdentifierNode:
		if ty.own[n.Ident] {
			return slices.Contains(ty.declared, n.Ident)
		}
		return pureFunc(n.Ident)
	}
	return false
}

// plainData says whether printing or comparing a value of the type runs no code
// of the application: no methods that printing would call, at any depth.
func plainData(t reflect.Type) bool {
	if printsItself(t) {
		return false
	}
	if t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			if !plainData(f.Type) {
				return false
			}
		}
	}
	return t.Kind() != reflect.Array || plainData(t.Elem())
}

// pureFunc lists the builtins that only compute, and html/template's escapers.
func pureFunc(name string) bool {
	switch name {
	case "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice",
		"print", "printf", "println", "html", "js", "urlquery", "_eval_args_":
		return true
	}
	return len(name) > len(escaperPrefix) && name[:len(escaperPrefix)] == escaperPrefix
}

const escaperPrefix = "_html_template_"

// ownFuncs lists the functions that the application gave a template: it may
// replace a builtin. The template package does not say, so its fields are read;
// ok is false when they are not as expected.
func ownFuncs(t *template.Template) (own map[string]bool, ok bool) {
	defer func() {
		if recover() != nil {
			own, ok = nil, false
		}
	}()
	funcs := reflect.ValueOf(t).Elem().FieldByName("text").Elem().FieldByName("common").Elem().FieldByName("execFuncs")
	own = map[string]bool{}
	for _, name := range funcs.MapKeys() {
		own[name.String()] = true
	}
	return own, true
}
