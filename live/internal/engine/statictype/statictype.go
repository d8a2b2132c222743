// Package statictype finds the static Go type of what a template's pipeline
// yields, from the types of dot and $. It follows field paths only: it does not
// execute a template, and it knows no functions, methods or variables. Package
// engine uses it to print plain values and to compare rows, and package share
// to see what a page may depend on; nothing else should.
package statictype

import (
	"reflect"
	"text/template/parse"
)

// Pipe returns the type of a pipeline that is only dot or a field path; nil for
// any other.
func Pipe(p *parse.PipeNode, dot, root reflect.Type) reflect.Type {
	if p == nil || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return nil
	}
	return Of(p.Cmds[0].Args[0], dot, root)
}

// Of returns the type of dot, of a field path of dot, or of one of $, whose
// type is root; nil for any other node.
func Of(n parse.Node, dot, root reflect.Type) reflect.Type {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return field(dot, n.Ident)
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			return field(root, n.Ident[1:])
		}
	}
	return nil
}

// field follows a path of fields from a type. It returns nil where the path
// leads through an interface, or where the template would call a method of the
// field's name instead.
func field(t reflect.Type, path []string) reflect.Type {
	for _, name := range path {
		if t == nil {
			return nil
		}
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return nil
		}
		if _, method := reflect.PointerTo(t).MethodByName(name); method {
			return nil
		}
		f, ok := t.FieldByName(name)
		if !ok || !f.IsExported() {
			return nil
		}
		t = f.Type
	}
	return t
}

// Element returns the type of the elements that a range over t visits; nil
// unless t is a slice or an array.
func Element(t reflect.Type) reflect.Type {
	if t == nil || t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
		return nil
	}
	return t.Elem()
}
