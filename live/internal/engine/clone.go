package engine

import (
	"fmt"
	"html/template"
	"io"
	"strconv"
	"text/template/parse"
)

const (
	probeName    = "_live_probe"
	opaquePrefix = "_live_opaque_"
	// derivedSuffix begins what html/template adds to the name of a derived copy.
	derivedSuffix = "$htmltemplate_"
)

// callSites names the n-th template calls of a template body.
type callSites map[string]map[int]bool

// prepared clones t for instrumenting, without running or changing t.
//
// html/template escapes a template that is called outside text context as a
// derived copy that nobody outside can reach, so such a call can only be one
// opaque value. A recursive template may be called both ways; therefore opaque
// calls are redirected to private copies of everything they call, and no
// instrumented block can ever run inside an opaque value.
//
// The result is not escaped yet: clone it, then call escape on the clone.
func prepared(t *template.Template) (*template.Template, error) {
	name := t.Name()
	trial, err := cloneOf(t)
	if err != nil {
		return nil, err
	}
	if err := escape(trial, name); err != nil {
		return nil, err
	}
	opaque := callSites{}
	findOpaque(trial, name, opaque, map[string]bool{})
	c, err := cloneOf(t)
	if err != nil {
		return nil, err
	}
	cp := copier{from: t, to: c, made: map[string]bool{}}
	for name, sites := range opaque {
		for i, call := range calls(c.Lookup(name).Tree.Root) {
			if !sites[i] {
				continue
			}
			if call.Name, err = cp.closure(call.Name); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func cloneOf(t *template.Template) (*template.Template, error) {
	c, err := t.Clone()
	if err != nil {
		return nil, fmt.Errorf("engine: template %q must be compiled before its first execution: %w", t.Name(), err)
	}
	return c, nil
}

// escape makes html/template rewrite everything that name reaches. Only an
// execution does that, so a template is executed whose body never runs.
func escape(c *template.Template, name string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("engine: escape template %q: %v", name, r)
		}
	}()
	if _, err := c.New(probeName).Parse("{{if false}}{{template " + strconv.Quote(name) + "}}{{end}}"); err != nil {
		return fmt.Errorf("engine: probe template %q: %w", name, err)
	}
	if err := c.ExecuteTemplate(io.Discard, probeName, nil); err != nil {
		return fmt.Errorf("engine: escape template %q: %w", name, err)
	}
	return nil
}

// findOpaque collects, over all templates that name reaches, the calls that
// html/template gave a derived copy: those are the ones that Lookup lacks.
func findOpaque(escaped *template.Template, name string, found callSites, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	for i, call := range calls(escaped.Lookup(name).Tree.Root) {
		if escaped.Lookup(call.Name) != nil {
			findOpaque(escaped, call.Name, found, seen)
			continue
		}
		if found[name] == nil {
			found[name] = map[int]bool{}
		}
		found[name][i] = true
	}
}

// copier makes private copies of templates and of all that they call.
type copier struct {
	from, to *template.Template
	made     map[string]bool
}

func (c *copier) closure(name string) (string, error) {
	private := opaquePrefix + name
	if c.made[private] {
		return private, nil
	}
	c.made[private] = true
	src := c.from.Lookup(name)
	if src == nil || src.Tree == nil {
		return "", fmt.Errorf("engine: no template %q", name)
	}
	tree := src.Tree.Copy()
	for _, call := range calls(tree.Root) {
		callee, err := c.closure(call.Name)
		if err != nil {
			return "", err
		}
		call.Name = callee
	}
	if _, err := c.to.AddParseTree(private, tree); err != nil {
		return "", fmt.Errorf("engine: copy template %q: %w", name, err)
	}
	return private, nil
}

// calls lists the template calls below n in source order.
func calls(n parse.Node) []*parse.TemplateNode {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		var out []*parse.TemplateNode
		for _, m := range n.Nodes {
			out = append(out, calls(m)...)
		}
		return out
	case *parse.IfNode:
		return append(calls(n.List), calls(n.ElseList)...)
	case *parse.WithNode:
		return append(calls(n.List), calls(n.ElseList)...)
	case *parse.RangeNode:
		return append(calls(n.List), calls(n.ElseList)...)
	case *parse.TemplateNode:
		return []*parse.TemplateNode{n}
	}
	return nil
}
