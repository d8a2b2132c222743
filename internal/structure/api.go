package structure

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Signature is an exported function, method, field, variable or type with the
// types that it names.
type Signature struct {
	Name  string
	Pos   token.Pos
	Types []*types.TypeName
	// Params are a function's or method's own parameters.
	Params []*types.Var
}

// API lists the signatures that a user of the package can see.
func (p *Package) API() []Signature {
	var list []Signature
	add := func(name string, obj types.Object, t types.Type) {
		s := Signature{Name: name, Pos: obj.Pos(), Types: named(t)}
		if sig, ok := t.(*types.Signature); ok {
			s.Params = slices.Collect(sig.Params().Variables())
		}
		list = append(list, s)
	}
	scope := p.Types.Scope()
	for _, name := range scope.Names() {
		obj := scope.Lookup(name)
		if !obj.Exported() {
			continue
		}
		t, isType := obj.(*types.TypeName)
		if !isType {
			add(name, obj, obj.Type())
			continue
		}
		if t.IsAlias() {
			add(name, obj, types.Unalias(t.Type()))
			continue
		}
		n, ok := t.Type().(*types.Named)
		if !ok {
			continue
		}
		add(name, obj, constraints(n.TypeParams()))
		for m := range n.Methods() {
			if m.Exported() {
				add(name+"."+m.Name(), m, m.Type())
			}
		}
		switch u := n.Underlying().(type) {
		case *types.Struct:
			for f := range u.Fields() {
				if f.Exported() {
					add(name+"."+f.Name(), f, f.Type())
				}
			}
		case *types.Interface:
			for m := range u.ExplicitMethods() {
				if m.Exported() {
					add(name+"."+m.Name(), m, m.Type())
				}
			}
		default:
			add(name, obj, u)
		}
	}
	return list
}

// constraints returns a tuple of the constraints of type parameters.
func constraints(params *types.TypeParamList) types.Type {
	var vars []*types.Var
	for tp := range params.TypeParams() {
		vars = append(vars, types.NewParam(token.NoPos, nil, "", tp.Constraint()))
	}
	return types.NewTuple(vars...)
}

// named lists the names in a type: not those behind them.
func named(t types.Type) []*types.TypeName {
	var list []*types.TypeName
	var visit func(t types.Type)
	tuple := func(t *types.Tuple) {
		for v := range t.Variables() {
			visit(v.Type())
		}
	}
	args := func(l *types.TypeList) {
		for a := range l.Types() {
			visit(a)
		}
	}
	visit = func(t types.Type) {
		switch t := t.(type) {
		case *types.Alias:
			list = append(list, t.Obj())
			args(t.TypeArgs())
		case *types.Named:
			list = append(list, t.Obj())
			args(t.TypeArgs())
		case *types.Pointer:
			visit(t.Elem())
		case *types.Slice:
			visit(t.Elem())
		case *types.Array:
			visit(t.Elem())
		case *types.Chan:
			visit(t.Elem())
		case *types.Map:
			visit(t.Key())
			visit(t.Elem())
		case *types.Tuple:
			tuple(t)
		case *types.Signature:
			if t.TypeParams() != nil {
				visit(constraints(t.TypeParams()))
			}
			tuple(t.Params())
			tuple(t.Results())
		case *types.Struct:
			for f := range t.Fields() {
				visit(f.Type())
			}
		case *types.Interface:
			for m := range t.ExplicitMethods() {
				visit(m.Type())
			}
			for e := range t.EmbeddedTypes() {
				visit(e)
			}
		case *types.Union:
			for term := range t.Terms() {
				visit(term.Type())
			}
		}
	}
	visit(t)
	return list
}

// Hidden says why a user cannot write a type's name; "" when they can.
func Hidden(t *types.TypeName) string {
	switch {
	case t.Pkg() == nil:
		return ""
	case !t.Exported():
		return fmt.Sprintf("%s.%s is not exported", t.Pkg().Name(), t.Name())
	case slices.Contains(strings.Split(t.Pkg().Path(), "/"), "internal"):
		return fmt.Sprintf("%s.%s is in an internal package", t.Pkg().Name(), t.Name())
	}
	return ""
}

// Contexts lists the names of parameters, variables and fields whose type is
// context.Context, embedded ones apart.
func (p *Package) Contexts() []*ast.Ident {
	var list []*ast.Ident
	for id, obj := range p.Info.Defs {
		if v, ok := obj.(*types.Var); ok && !v.Embedded() && isContext(v.Type()) {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b *ast.Ident) int { return int(a.Pos() - b.Pos()) })
	return list
}

func isContext(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "context" && n.Obj().Name() == "Context"
}
