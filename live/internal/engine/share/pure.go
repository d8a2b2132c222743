package share

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"text/template/parse"
	"time"

	"lastmile/live/internal/engine/statictype"
)

// purity finds out whether a page depends on nothing but the values in its
// state, so that equal states have equal pages. When in doubt it says no.
type purity struct {
	Source
	why    string          // the first reason against it
	named  map[string]bool // fields and methods that the templates name
	bodies map[bodyCall]bool
	types  map[reflect.Type]bool     // all that the state refers to
	fields map[string][]reflect.Type // of all structs among them, by name
	// entries are the values of maps: a template names them like fields.
	entries kinds
	vars    map[string]kinds
	refers  bool // there are pointers among the types: a page may show an address
	slices  bool // there are slices among the types
}

func newPurity(src Source) *purity {
	return &purity{
		Source: src, named: map[string]bool{}, types: map[reflect.Type]bool{},
		fields: map[string][]reflect.Type{}, vars: map[string]kinds{},
	}
}

// bodyCall is a template that is called with a type of dot.
type bodyCall struct {
	name string
	dot  reflect.Type
}

// check returns why equal states may have different pages; "" when they cannot.
func (p *purity) check() string {
	p.collect(p.State)
	for range 2 { // the first pass sees what variables may hold
		p.bodies = map[bodyCall]bool{}
		p.why = ""
		p.body(p.Template, p.State)
	}
	for t := range p.types {
		if m := p.method(t); m != "" {
			p.fail("%v has the method %s", t, m)
		}
	}
	return p.why
}

func (p *purity) fail(format string, args ...any) {
	if p.why == "" {
		p.why = fmt.Sprintf(format, args...)
	}
}

// collect lists a type and all that it refers to.
func (p *purity) collect(t reflect.Type) {
	if p.types[t] || knownPure(t) {
		return
	}
	p.types[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			p.fields[f.Name] = append(p.fields[f.Name], f.Type)
			p.collect(f.Type)
		}
	case reflect.Pointer:
		p.refers = true
		p.collect(t.Elem())
	case reflect.Map:
		p.collect(t.Key())
		p.collect(t.Elem())
		p.entries.or(known(t.Elem()))
	case reflect.Slice:
		p.slices = true
		p.collect(t.Elem())
	case reflect.Array:
		p.collect(t.Elem())
	default:
	}
}

// knownPure lists types of the standard library whose methods only compute.
func knownPure(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[time.Month](),
		reflect.TypeFor[time.Weekday](), reflect.TypeFor[json.Number]():
		return true
	}
	return false
}

// method returns a method of t that a page may call and nobody has declared
// pure; "" when there is none.
func (p *purity) method(t reflect.Type) string {
	if t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	for m := range t.Methods() {
		switch m.Name {
		case "Error", "String", "Format", "GoString", "MarshalJSON", "MarshalJSONTo", "MarshalText", "IsZero": // printing calls them
		default:
			if !p.named[m.Name] {
				continue
			}
		}
		if !slices.Contains(p.Pure, m.Name) {
			return m.Name
		}
	}
	return ""
}

// dynamic says whether values of t in interfaces keep pages pure.
func (p *purity) dynamic(t reflect.Type) bool {
	q := newPurity(p.Source)
	q.named = p.named
	q.collect(t)
	if q.refers {
		return false // nobody has looked whether the template shows addresses
	}
	for t := range q.types {
		if q.method(t) != "" {
			return false
		}
	}
	return true
}

func (p *purity) body(name string, dot reflect.Type) {
	at := bodyCall{name, dot}
	if p.bodies[at] {
		return
	}
	p.bodies[at] = true
	body := p.Body(name)
	if body == nil {
		p.fail("there is no template %q", name)
		return
	}
	p.node(body, dot, dot)
}

func (p *purity) node(n parse.Node, dot, root reflect.Type) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, m := range n.Nodes {
			p.node(m, dot, root)
		}
	case *parse.ActionNode:
		if k := p.pipe(n.Pipe, dot, root); len(n.Pipe.Decl) == 0 && p.refers && !k.printable() {
			p.fail("{{%v}} may print an address", n.Pipe)
		}
	case *parse.IfNode:
		p.pipe(n.Pipe, dot, root)
		p.node(n.List, dot, root)
		p.node(n.ElseList, dot, root)
	case *parse.WithNode:
		p.pipe(n.Pipe, dot, root)
		p.node(n.List, statictype.Pipe(n.Pipe, dot, root), root)
		p.node(n.ElseList, dot, root)
	case *parse.RangeNode:
		p.ranged(n, p.pipe(n.Pipe, dot, root))
		p.node(n.List, statictype.Element(statictype.Pipe(n.Pipe, dot, root)), root)
		p.node(n.ElseList, dot, root)
	case *parse.TemplateNode:
		var arg reflect.Type
		if n.Pipe != nil {
			p.pipe(n.Pipe, dot, root)
			arg = statictype.Pipe(n.Pipe, dot, root)
		}
		p.body(n.Name, arg)
	}
}

// ranged notes what the variables of a range hold.
func (p *purity) ranged(n *parse.RangeNode, over kinds) {
	for i, v := range n.Pipe.Decl {
		if i == 0 && len(n.Pipe.Decl) == 2 {
			p.assign(v, over.keys())
		} else {
			p.assign(v, over.elements())
		}
	}
}

func (p *purity) assign(v *parse.VariableNode, k kinds) {
	all := p.vars[v.Ident[0]]
	all.or(k)
	p.vars[v.Ident[0]] = all
}

// pipe returns what a pipeline yields.
func (p *purity) pipe(n *parse.PipeNode, dot, root reflect.Type) kinds {
	var out kinds
	for i, c := range n.Cmds {
		args := make([]kinds, 0, len(c.Args)+1)
		for _, a := range c.Args {
			args = append(args, p.arg(a, dot, root))
		}
		if i > 0 {
			args = append(args, out)
		}
		if id, ok := c.Args[0].(*parse.IdentifierNode); ok {
			out = p.call(id.Ident, c, args[1:])
		} else if out = args[0]; len(args) > 1 {
			out = kinds{} // a method's result: it must be declared pure
		}
	}
	for _, v := range n.Decl {
		p.assign(v, out)
	}
	return out
}

func (p *purity) arg(n parse.Node, dot, root reflect.Type) kinds {
	switch n := n.(type) {
	case *parse.DotNode:
		return known(dot)
	case *parse.FieldNode:
		return p.path(n, n.Ident, dot, root)
	case *parse.VariableNode:
		switch {
		case len(n.Ident) > 1:
			return p.path(n, n.Ident[1:], dot, root)
		case n.Ident[0] == "$":
			return known(root)
		}
		return p.vars[n.Ident[0]]
	case *parse.ChainNode:
		p.arg(n.Node, dot, root)
		return p.path(n, n.Field, dot, root)
	case *parse.PipeNode:
		return p.pipe(n, dot, root)
	}
	return kinds{} // a constant
}

func known(t reflect.Type) kinds {
	if t == nil {
		return kinds{unknown: true}
	}
	return kinds{types: []reflect.Type{t}}
}

// path returns what a chain of fields may be: by the types on its way, or else
// any field of that name. A method's result is the business of its declaration.
func (p *purity) path(n parse.Node, names []string, dot, root reflect.Type) kinds {
	for _, name := range names {
		p.named[name] = true
	}
	if t := statictype.Of(n, dot, root); t != nil {
		return known(t)
	}
	k := kinds{types: slices.Clone(p.fields[names[len(names)-1]])}
	k.or(p.entries)
	return k
}

// addressVerb matches the verb of printf that shows an address.
var addressVerb = regexp.MustCompile(`%[^%a-zA-Z]*p`)

func plainFormat(n parse.Node) bool {
	s, ok := n.(*parse.StringNode)
	return ok && !addressVerb.MatchString(s.Text)
}

// call checks a function's call and returns what it yields.
func (p *purity) call(name string, c *parse.CommandNode, args []kinds) kinds {
	var all kinds
	for _, k := range args {
		all.or(k)
	}
	switch {
	case p.Funcs[name]:
		if !slices.Contains(p.Pure, name) {
			p.fail("the function %s may depend on anything", name)
		}
		return kinds{}
	case name == "and" || name == "or":
		return all
	case name == "not" || name == "len":
		return kinds{}
	case name == "index":
		if len(args) == 0 {
			return kinds{unknown: true}
		}
		k := args[0]
		for range args[1:] {
			k = k.elements()
		}
		return k
	case name == "slice":
		if p.slices { // it can reach behind a slice's end
			p.fail("slice may show what is behind a slice's end")
		}
		return kinds{}
	case name == "printf":
		if len(c.Args) < 2 || !plainFormat(c.Args[1]) {
			p.fail("printf may print an address")
		}
	}
	if p.refers && !all.free() {
		p.fail("%s may see an address", name)
	}
	return kinds{}
}
