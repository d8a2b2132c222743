package structure

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
)

// Field is a field of a struct, and the files that write it.
type Field struct {
	Name      string
	WrittenIn []string
}

// Fields lists the fields of a struct type of the package. A group of fields in
// a struct without a name counts as its fields. A file writes a field when it
// assigns to the field, to an element or to a part of it, counts it up, or takes
// its address; a composite literal makes a value and writes none.
func (p *Package) Fields(typeName string) []Field {
	obj := p.Types.Scope().Lookup(typeName)
	if obj == nil {
		return nil
	}
	s, ok := obj.Type().Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	vars := leaves(s)
	written := map[*types.Var]map[string]bool{}
	for _, v := range vars {
		written[v] = map[string]bool{}
	}
	for _, f := range p.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			for _, target := range targets(n) {
				p.mark(written, target, p.File(f.Pos()))
			}
			return true
		})
	}
	fields := make([]Field, len(vars))
	for i, v := range vars {
		fields[i] = Field{v.Name(), slices.Sorted(maps.Keys(written[v]))}
	}
	return fields
}

func leaves(s *types.Struct) []*types.Var {
	var list []*types.Var
	for v := range s.Fields() {
		if inner, ok := v.Type().(*types.Struct); ok {
			list = append(list, leaves(inner)...)
		} else {
			list = append(list, v)
		}
	}
	return list
}

// targets returns the expressions that a node writes to.
func targets(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	}
	return nil
}

// mark notes a write to an expression. It is one to each field on the way that
// is there by value: x.f.g = 1 writes g and f, if f is no pointer.
func (p *Package) mark(written map[*types.Var]map[string]bool, target ast.Expr, file string) {
	for target != nil {
		switch e := target.(type) {
		case *ast.ParenExpr:
			target = e.X
		case *ast.IndexExpr:
			target = e.X
		case *ast.SelectorExpr:
			sel := p.Info.Selections[e]
			if sel == nil {
				return
			}
			if v, ok := sel.Obj().(*types.Var); ok && written[v.Origin()] != nil {
				written[v.Origin()][file] = true
			}
			if _, pointer := p.Info.TypeOf(e.X).Underlying().(*types.Pointer); pointer {
				return
			}
			target = e.X
		default:
			return
		}
	}
}
