package engine

import (
	"slices"
	"strings"
)

// attributes adds the units of a start tag: one for each dynamic value, and one
// for all the places where whole attributes come and go.
func (u *unitBuilder) attributes(t token) {
	from, to, names := u.span(t)
	for _, a := range t.attrs {
		if a.start >= from && a.start < to {
			if a.start == from {
				u.text(spanUnit, from, to).names = names
			}
			continue
		}
		if len(a.valueSlots) > 0 {
			u.text(attrUnit, a.valueStart, a.valueEnd)
		}
	}
}

// span returns the part of a start tag from the first attribute whose presence
// is dynamic to the last, and the names that may appear there. The first of two
// attributes with one name counts, so when a name could be twice in the tag the
// span covers all attributes and the parser decides.
func (u *unitBuilder) span(t token) (from, to int, names string) {
	if repeated(t.attrs) {
		inside, known := u.names(t.attrs)
		return t.attrs[0].start, t.attrs[len(t.attrs)-1].end, nameList(inside, known)
	}
	dynamic := func(a attr) bool { return len(a.nameSlots) > 0 }
	first := slices.IndexFunc(t.attrs, dynamic)
	if first < 0 {
		return 0, 0, ""
	}
	last := len(t.attrs) - 1
	for !dynamic(t.attrs[last]) {
		last--
	}
	inside, known := u.names(t.attrs[first : last+1])
	if !known {
		last = len(t.attrs) - 1 // a later attribute may lose to an unknown one
	}
	outside, _ := u.names(slices.Concat(t.attrs[:first], t.attrs[last+1:]))
	if slices.ContainsFunc(outside, func(n string) bool { return slices.Contains(inside, n) }) {
		first, last = 0, len(t.attrs)-1
		inside, _ = u.names(t.attrs)
	}
	return t.attrs[first].start, t.attrs[last].end, nameList(inside, known)
}

func nameList(names []string, known bool) string {
	if !known {
		return "*"
	}
	return strings.Join(names, " ")
}

// repeated says whether a tag with dynamic values has two attributes of one name.
func repeated(attrs []attr) bool {
	seen := map[string]bool{}
	again, dynamic := false, false
	for _, a := range attrs {
		dynamic = dynamic || len(a.valueSlots) > 0
		if len(a.nameSlots) == 0 {
			again = again || seen[a.name]
			seen[a.name] = true
		}
	}
	return again && dynamic
}

// names lists the attributes that may be present; known is false when a name
// itself is dynamic.
func (u *unitBuilder) names(attrs []attr) (names []string, known bool) {
	c := nameCollector{known: true, seen: map[*block]bool{}}
	c.attrs(u.block, attrs)
	return c.names, c.known
}

// nameCollector looks for attribute names in the blocks inside a start tag.
type nameCollector struct {
	names []string
	known bool
	seen  map[*block]bool
}

func (c *nameCollector) attrs(b *block, attrs []attr) {
	for _, a := range attrs {
		if len(a.nameSlots) == 0 {
			if !slices.Contains(c.names, a.name) {
				c.names = append(c.names, a.name)
			}
			continue
		}
		if a.name != "" || a.valueEnd > 0 {
			c.known = false // only a part of the name is fixed
		}
		for i, k := range a.nameSlots {
			s := &b.slots[k]
			if s.kind == valueSlot {
				c.known = false
			}
			for _, child := range s.fill {
				if i > 0 && !startsWith(child.src, isSpace) {
					c.known = false // it may continue the name before it
				}
				c.block(child)
			}
		}
	}
}

func (c *nameCollector) block(b *block) {
	if c.seen[b] {
		return
	}
	c.seen[b] = true
	// A tag around the text makes the tokenizer list its attributes.
	tokens, _ := tokenize("<a "+b.src+" >", htmlPlace{}, func(_ int, at htmlPlace) passage { return passage{end: at} })
	if len(tokens) != 1 {
		c.known = false
		return
	}
	c.attrs(b, tokens[0].attrs)
}

func startsWith(s string, is func(byte) bool) bool { return s != "" && is(s[0]) }
