package engine

import (
	"slices"
	"strings"
	"text/template/parse"
)

// HTML parsers put a <tr> that lies straight in a <table> into a <tbody> that
// nobody has written. Then the page is not what its source says, and could only be
// patched as a whole; so that <tbody> is written into the template's text. It is
// where a parser puts it, and also there when a range has no rows.

// writeBodies adds the <tbody> to all tables that lack it.
func (s *Set) writeBodies(nodes map[*block][]*parse.TextNode) {
	l := &layouter{set: s, ends: map[endKey]passage{}}
	for _, b := range s.blocks {
		var ok bool
		if b.src, ok = b.markup(); !ok {
			return // the page becomes one part
		}
	}
	r := &rowFinder{tokens: map[*block][]token{}, kinds: map[*block]content{}}
	for _, b := range s.blocks {
		r.tokens[b], _ = tokenize(b.src, htmlPlace{}, l.after(b))
	}
	for _, b := range s.blocks {
		at := r.bodies(b)
		slices.SortStableFunc(at, func(x, y insertion) int { return y.pos - x.pos })
		for _, i := range at { // from the end on, so that places stay right
			b.insert(i, nodes[b])
		}
	}
}

// insertion is text for a place in a block's source.
type insertion struct {
	pos  int
	text string
}

// insert adds text to a static, in front of the slot at that place if there is
// one.
func (b *block) insert(i insertion, nodes []*parse.TextNode) {
	pos := i.pos
	for k, static := range b.statics {
		if pos <= len(static) {
			b.statics[k] = static[:pos] + i.text + static[pos:]
			nodes[k].Text = []byte(b.statics[k])
			return
		}
		pos -= len(static) + len(appendSlotRef(nil, k))
	}
}

// content says what a piece of a table holds.
type content uint8

const (
	blank   content = iota // nothing, space, scripts
	rows                   // <tr> and blank
	parts                  // <tbody>, <caption> and others that may lie in a <table>, and blank
	unknown                // anything else
)

func (c content) and(o content) content {
	switch {
	case c == o || o == blank:
		return c
	case c == blank:
		return o
	}
	return unknown
}

// rowFinder looks for rows that lie straight in tables.
type rowFinder struct {
	tokens map[*block][]token
	kinds  map[*block]content // of what blocks hold, at the top
}

// item is a child of an element, or of a block.
type item struct {
	kind       content
	start, end int // in the block's source
}

// bodies returns where b's tables need a <tbody>, and its end.
func (r *rowFinder) bodies(b *block) (out []insertion) {
	list := r.tokens[b]
	for i, t := range list {
		if t.kind != openToken || t.name != "table" || t.dynamicName || t.torn {
			continue
		}
		items, end := r.items(b, i+1)
		if end == len(list) || list[end].name != "table" {
			continue
		}
		if slices.ContainsFunc(items, func(it item) bool { return it.kind == unknown }) {
			continue // it is patched as a whole
		}
		open := false
		for _, it := range append(items, item{parts, list[end].start, list[end].start}) {
			if it.kind == rows && !open {
				out, open = append(out, insertion{it.start, "<tbody>"}), true
			} else if it.kind == parts && open {
				out, open = append(out, insertion{it.start, "</tbody>"}), false
			}
		}
	}
	return out
}

// items returns the children from a token on, up to the end tag that none of them
// has opened, which is returned, or the block's end.
func (r *rowFinder) items(b *block, from int) (items []item, end int) {
	list := r.tokens[b]
	for i := from; i < len(list); i++ {
		t := list[i]
		it := item{unknown, t.start, t.end}
		switch t.kind {
		case closeToken:
			return items, i
		case textToken:
			if strings.Trim(b.src[t.start:t.end], " \t\r\n\f") == "" {
				it.kind = blank
			}
		case slotToken:
			it.kind = r.slot(&b.slots[t.slot])
		case openToken:
			it.kind = kindOf(t.name)
			if voidElement(t.name) {
				break
			}
			i = r.skip(b, i)
			if i == len(list) || list[i].name != t.name {
				return append(items, item{unknown, t.start, t.end}), len(list)
			}
			it.end = list[i].end
		case rawToken, otherToken:
		}
		items = append(items, it)
	}
	return items, len(list)
}

// skip returns the end tag of the element that the i-th token opens, if all
// inside it is closed too.
func (r *rowFinder) skip(b *block, i int) int {
	list := r.tokens[b]
	var open []string
	for ; i < len(list); i++ {
		t := list[i]
		switch {
		case t.torn || t.dynamicName:
			return len(list)
		case t.kind == openToken && !voidElement(t.name) && !t.selfClosed:
			open = append(open, t.name)
		case t.kind == closeToken:
			if open[len(open)-1] != t.name {
				return len(list)
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return i
			}
		}
	}
	return len(list)
}

func kindOf(element string) content {
	switch element {
	case "tr":
		return rows
	case "tbody", "thead", "tfoot", "caption", "colgroup", "col":
		return parts
	case "script", "style":
		return blank
	}
	return unknown
}

// slot says what may fill a slot.
func (r *rowFinder) slot(s *slot) content {
	if len(s.fill) == 0 {
		return unknown // a value
	}
	kind := blank
	for _, b := range s.fill {
		kind = kind.and(r.kind(b))
	}
	return kind
}

// kind says what a block holds. One that holds itself adds nothing to that.
func (r *rowFinder) kind(b *block) content {
	if k, ok := r.kinds[b]; ok {
		return k
	}
	r.kinds[b] = blank
	items, end := r.items(b, 0)
	kind := blank
	for _, it := range items {
		kind = kind.and(it.kind)
	}
	if end < len(r.tokens[b]) {
		kind = unknown // it ends what it has not opened
	}
	r.kinds[b] = kind
	return kind
}
