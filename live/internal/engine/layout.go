package engine

import (
	"fmt"
	"slices"
	"strings"
)

// layout is how the client sees a block: units in a skeleton.
type layout struct {
	namespace string // "", "svg" or "math"
	reached   bool   // a client may meet it
	units     []unit
	pieces    []string // skeleton text around the units: one more than units
	uniform   bool     // its nodes can be counted without a marker: elements and fixed text only

	closes map[int]int    // start tag token -> its end tag
	html   map[int]string // start tag tokens of elements whose content is patched as HTML, and why
	whole  string         // root only: why the whole page is
}

// layouter finds out, before any render, what the DOM can address.
//
// It reads each block's HTML with the elements that are open around it. Where a
// block does not leave the elements as it found them, or where an HTML parser
// would build something else than what is written (an implied <tbody>, a <div>
// that ends a <p>), the smallest element that contains the damage is marked:
// its content becomes a single unit of HTML text.
type layouter struct {
	set     *Set
	results map[string]*walked
	nesting map[*block]int // template bodies on the current path
	ends    map[endKey]passage
	visits  int
}

// maxVisits bounds the layout pass over templates that call each other in many
// places. What lies beyond is patched as HTML.
const maxVisits = 20000

type endKey struct {
	block *block
	at    htmlPlace
}

// openElement is an element that is open at some point of a walk.
type openElement struct {
	name    string
	block   *block
	token   int
	foreign bool   // opened by a block in a slot
	cond    string // under this condition only
}

// walked is what walking a block under certain open elements has shown.
type walked struct {
	unclosed []string // elements it leaves open
	closed   int      // elements opened under the same condition that it closes
	outer    []damage // damage to elements outside
}

// damage is an irregularity that reaches the content of the open element at
// level; -1 is the page's container.
type damage struct {
	level         int
	reason, where string
}

func (s *Set) layOut() {
	l := &layouter{set: s, results: map[string]*walked{}, nesting: map[*block]int{}, ends: map[endKey]passage{}}
	for _, b := range s.blocks {
		var ok bool
		if b.src, ok = b.markup(); !ok {
			s.root.layout.whole = b.where + ": the template's text contains U+FDD0"
		}
		b.layout.closes, b.layout.html = map[int]int{}, map[int]string{}
	}
	if s.root.layout.whole == "" {
		for _, b := range s.blocks {
			b.tokens, b.passes = tokenize(b.src, htmlPlace{}, l.after(b))
		}
		res := l.walk(s.root, nil, -1)
		for _, d := range res.outer {
			s.root.layout.whole = d.where + ": " + d.reason
		}
		if len(res.unclosed) > 0 {
			s.root.layout.whole = s.root.where + ": unclosed <" + res.unclosed[0] + ">"
		}
	}
	s.buildUnits()
}

// after tells a tokenizer what b's slots do to the place.
func (l *layouter) after(b *block) afterSlot {
	return func(slot int, at htmlPlace) passage {
		s := &b.slots[slot]
		out := passage{end: at, spaced: len(s.fill) > 0, left: mayLeave(s, at)}
		if at.syntax == beforeValue && len(s.fill) > 0 {
			return l.begins(s, at)
		}
		for _, child := range s.fill {
			out.spaced = out.spaced && startsWith(child.src, isSpace)
			p := l.pass(child, at)
			out.left = out.left || p.left
			if !p.end.sameAs(at) {
				out.end, out.left = p.end, true
			}
		}
		return out
	}
}

func (l *layouter) pass(b *block, at htmlPlace) passage {
	key := endKey{b, at.coarse()}
	if p, ok := l.ends[key]; ok {
		return p
	}
	l.ends[key] = passage{end: at} // what a recursive call sees
	_, p := tokenize(b.src, at, l.after(b))
	l.ends[key] = p
	return p
}

// walk reads b under the open elements stack; row is the level of the element
// that holds the rows around it, -1 for none.
func (l *layouter) walk(b *block, stack []openElement, row int) *walked {
	var id strings.Builder
	fmt.Fprint(&id, b.id, " ", row)
	for _, e := range stack {
		id.WriteString(" " + e.name + "?" + e.cond)
	}
	key := id.String()
	if res := l.results[key]; res != nil {
		return res
	}
	res := &walked{}
	if b.parent == nil && l.nesting[b] == 2 {
		return res // deeper recursion shows nothing new
	}
	l.results[key] = res
	l.visits++
	w := &walker{layouter: l, block: b, res: res, base: len(stack), open: slices.Clip(slices.Clone(stack)), row: row}
	if b.parent == nil {
		l.nesting[b]++
		defer func() { l.nesting[b]-- }()
	}
	if l.visits > maxVisits {
		w.damage(-1, 0, "templates call each other in too many places")
		return res
	}
	w.run()
	return res
}

// namespaceOf returns the namespace of an element whose parents are names.
func namespaceOf(stack []openElement) string {
	for _, e := range slices.Backward(stack) {
		switch e.name {
		case "svg":
			return "svg"
		case "math":
			return "math"
		case "foreignobject", "desc", "title", "annotation-xml", "mi", "mo", "mn", "ms", "mtext":
			return ""
		}
	}
	return ""
}

func voidElement(name string) bool {
	switch name {
	case "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr":
		return true
	}
	return false
}
