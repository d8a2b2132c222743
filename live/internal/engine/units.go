package engine

import (
	"slices"
	"strings"
)

// unitKind says how the client applies a unit.
type unitKind byte

const (
	textUnit    unitKind = 'T' // the text between two tags, fixed words included
	attrUnit    unitKind = 'A' // a whole attribute value
	spanUnit    unitKind = 'S' // a run of attributes inside a start tag
	rawUnit     unitKind = 'R' // the content of a raw element: textarea, title, style, script ...
	htmlUnit    unitKind = 'H' // the content of an element whose template is irregular
	ignoredUnit unitKind = 'I' // the content of a live-ignore element: sent once, never patched
	blockUnit   unitKind = 'B' // what fills a branch or call
	rowsUnit    unitKind = 'L' // the rows of a range
)

// unit is what the DOM can address without knowing any other value.
type unit struct {
	kind  unitKind
	slots []int    // the slots it covers
	texts []string // fixed text before each slot, and the tail; nil for regions
	names string   // spanUnit: every attribute it can hold, "*" when nobody knows
	only  bool     // region: it is all that its element holds
	first bool     // textUnit: the first that a <pre> holds, so parsers drop a newline
}

// region says whether the unit is filled by blocks.
func (u *unit) region() bool { return u.kind == blockUnit || u.kind == rowsUnit }

// buildUnits cuts the blocks that a client can meet into units.
func (s *Set) buildUnits() {
	raw := s.blocks[rawBlock]
	raw.layout = layout{reached: true, pieces: []string{"", ""}, units: []unit{
		{kind: textUnit, slots: []int{0}, texts: []string{"", ""}},
	}}
	for _, b := range s.blocks {
		b.layout.reached = b == raw
	}
	if s.root.layout.whole != "" {
		u := &unitBuilder{set: s, block: s.root}
		u.text(htmlUnit, 0, len(s.root.src))
		u.finish()
		s.root.layout.reached = true
		return
	}
	s.reach(s.root)
}

// reach builds the units of b and of all blocks that fill its regions.
func (s *Set) reach(b *block) {
	if b.layout.reached {
		return
	}
	b.layout.reached = true
	u := &unitBuilder{set: s, block: b}
	u.run()
	u.finish()
	for _, r := range b.layout.units {
		if !r.region() {
			continue
		}
		for _, child := range b.slots[r.slots[0]].fill {
			s.reach(child)
		}
	}
}

// unitBuilder cuts one block's source into skeleton and units.
type unitBuilder struct {
	set    *Set
	block  *block
	units  []unit
	pieces []string
	done   int // source before it is in pieces or units
	run0   int // start of the text run under way; -1 for none
	pre    int // where the content of the last <pre> begins
	slots  int // slots in it
	depth  int
	nodes  int  // nodes at the top
	fixed  bool // all of them can be counted
}

func (u *unitBuilder) run() {
	b := u.block
	u.run0, u.pre, u.fixed = -1, -1, true
	for i := 0; i < len(b.tokens); i++ {
		t := b.tokens[i]
		switch t.kind {
		case textToken:
			u.textRun(t.start)
		case slotToken:
			u.slot(i, t)
		case openToken:
			u.endRun(t.start)
			i = u.openTag(i, t)
		case closeToken:
			u.endRun(t.start)
			u.depth--
		case rawToken, otherToken:
			u.endRun(t.start)
		}
	}
	u.endRun(len(b.src))
}

func (u *unitBuilder) finish() {
	l := &u.block.layout
	l.units = u.units
	u.pieces = append(u.pieces, u.block.src[u.done:])
	l.pieces = u.pieces
	l.uniform = u.fixed && u.nodes > 0
	u.block.findKey()
}

func (u *unitBuilder) top() {
	if u.depth == 0 {
		u.nodes++
	}
}

func (u *unitBuilder) textRun(at int) {
	if u.run0 < 0 {
		u.run0, u.slots = at, 0
		u.top()
	}
}

func (u *unitBuilder) endRun(at int) {
	if u.run0 >= 0 && u.slots > 0 {
		u.text(textUnit, u.run0, at).first = u.run0 == u.pre
		u.fixed = u.fixed && u.depth > 0
	}
	u.run0 = -1
}

// text adds a unit for a piece of source.
func (u *unitBuilder) text(kind unitKind, start, end int) *unit {
	texts, slots := splitRefs(u.block.src[start:end])
	u.cut(start, end, unit{kind: kind, slots: slots, texts: texts})
	return &u.units[len(u.units)-1]
}

// cut takes a piece of source out of the skeleton.
func (u *unitBuilder) cut(start, end int, n unit) {
	u.pieces = append(u.pieces, u.block.src[u.done:start])
	u.units = append(u.units, n)
	u.done = end
}

func (u *unitBuilder) slot(i int, t token) {
	s := &u.block.slots[t.slot]
	if s.kind == valueSlot {
		u.textRun(t.start)
		u.slots++
		return
	}
	u.endRun(t.start)
	kind := blockUnit
	if s.kind == rowsSlot {
		kind = rowsUnit
	}
	u.fixed = u.fixed && u.depth > 0
	u.top()
	u.cut(t.start, t.end, unit{kind: kind, slots: []int{t.slot}, only: u.alone(i)})
}

// alone says whether the i-th token is all that its element holds.
func (u *unitBuilder) alone(i int) bool {
	tokens := u.block.tokens
	if i == 0 || i+1 == len(tokens) || tokens[i-1].kind != openToken {
		return false
	}
	end, closed := u.block.layout.closes[i-1]
	return closed && end == i+1
}

// openTag adds the units of a start tag and of content that is one unit, and
// returns the last token it has used up.
func (u *unitBuilder) openTag(i int, t token) int {
	u.top()
	u.attributes(t)
	if dropsNewline(t.name) {
		u.pre = t.end
	}
	end, closed := u.block.layout.closes[i]
	if !closed {
		return i
	}
	from, to := t.end, u.block.tokens[end].start
	_, slots := splitRefs(u.block.src[from:to])
	switch {
	case u.block.layout.html[i] != "" && len(slots) > 0:
		u.text(htmlUnit, from, to)
		return end
	case len(slots) > 0 && ignored(t):
		u.text(ignoredUnit, from, to)
		return end
	case len(slots) > 0 && rawElement(t.name):
		u.text(rawUnit, from, to)
		return end
	case rawElement(t.name) || u.block.layout.html[i] != "":
		return end
	}
	u.depth++
	return i
}

// dropsNewline says whether parsers drop a newline right behind the start tag.
func dropsNewline(name string) bool { return name == "pre" || name == "listing" }

func ignored(t token) bool {
	return slices.ContainsFunc(t.attrs, func(a attr) bool { return a.name == "live-ignore" })
}

// findKey finds the attribute that identifies a row: data-key, key or id of the
// block's first element, or of the block it calls first.
func (b *block) findKey() {
	b.key = rowKey{call: -1}
	for _, t := range b.tokens {
		switch {
		case t.kind == textToken && strings.TrimSpace(b.src[t.start:t.end]) == "":
			continue
		case t.kind == slotToken && b.slots[t.slot].kind == callSlot:
			b.key.call = t.slot
		case t.kind == openToken:
			b.key.slots = keySlots(b, t)
		}
		return
	}
}

func keySlots(b *block, t token) []int {
	for _, name := range []string{"data-key", "key", "id"} {
		for _, a := range t.attrs {
			if a.name != name || len(a.nameSlots) > 0 || len(a.valueSlots) == 0 {
				continue
			}
			if slices.ContainsFunc(a.valueSlots, func(k int) bool { return b.slots[k].kind != valueSlot }) {
				return nil
			}
			return a.valueSlots
		}
	}
	return nil
}
