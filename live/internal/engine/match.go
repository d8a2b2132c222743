package engine

import "slices"

// rowMatch pairs the rows of a range before and after.
type rowMatch struct {
	old, new       []uint32 // instances
	prefix, suffix int      // rows paired at both ends
	from           []int32  // for each new row between them: its old position, or -1
	used           []bool   // for each old row between them: it is paired
	inOrder        bool     // the pairs of from ascend
	stays          []bool   // else: for each of from, whether the row need not move
}

// rowMatcher makes matches in reused memory. Ranges nest, so matches are kept
// on a stack.
type rowMatcher struct {
	stack []*rowMatch
	depth int
	index keyIndex
	tails []int32 // for the longest increasing subsequence
	links []int32
	a, b  []byte // keys
}

func (rm *rowMatcher) release(*rowMatch) { rm.depth-- }

func (rm *rowMatcher) next() *rowMatch {
	if rm.depth == len(rm.stack) {
		rm.stack = append(rm.stack, &rowMatch{})
	}
	rm.depth++
	return rm.stack[rm.depth-1]
}

func rowsOf(dst []uint32, t *tree, first uint32) []uint32 {
	dst = dst[:0]
	for r := first; r != 0; r = t.insts[r-1].next {
		dst = append(dst, r-1)
	}
	return dst
}

func (rm *rowMatcher) match(d *differ, oldFirst, newFirst uint32) *rowMatch {
	m := rm.next()
	m.old, m.new = rowsOf(m.old, d.old, oldFirst), rowsOf(m.new, d.new, newFirst)
	m.prefix, m.suffix, m.inOrder = 0, 0, true
	keyed := rm.keyed(d, m)
	switch {
	case keyed:
		m.trim(func(o, n uint32) bool { return rm.sameKey(d, o, n) })
	case len(m.old) != len(m.new):
		// without keys, equal content at both ends shows a pure insertion or deletion
		m.trim(func(o, n uint32) bool { return d.same(o, n) || d.old.equal(d.new, o, n) })
	default:
		m.prefix = len(m.old)
	}
	oldRows, newRows := len(m.old)-m.prefix-m.suffix, len(m.new)-m.prefix-m.suffix
	m.from = slices.Grow(m.from[:0], newRows)[:newRows]
	m.used = slices.Grow(m.used[:0], oldRows)[:oldRows]
	clear(m.used)
	switch {
	case oldRows == 0 || newRows == 0:
		for j := range m.from {
			m.from[j] = -1
		}
	case keyed:
		rm.byKey(d, m)
	default:
		rm.byPosition(d, m)
	}
	if !m.inOrder {
		rm.longest(m)
	}
	return m
}

// keyed says whether the rows carry keys: the first of them decides.
func (rm *rowMatcher) keyed(d *differ, m *rowMatch) (ok bool) {
	if len(m.new) > 0 {
		if rm.a, ok = d.new.appendKey(rm.a[:0], m.new[0]); ok {
			return true
		}
	}
	if len(m.old) > 0 {
		rm.a, ok = d.old.appendKey(rm.a[:0], m.old[0])
	}
	return ok
}

func (m *rowMatch) trim(same func(o, n uint32) bool) {
	short := min(len(m.old), len(m.new))
	for m.prefix < short && same(m.old[m.prefix], m.new[m.prefix]) {
		m.prefix++
	}
	for m.suffix < short-m.prefix && same(m.old[len(m.old)-1-m.suffix], m.new[len(m.new)-1-m.suffix]) {
		m.suffix++
	}
}

func (rm *rowMatcher) sameKey(d *differ, o, n uint32) bool {
	if d.same(o, n) {
		return true
	}
	if d.old.insts[o].block != d.new.insts[n].block {
		return false
	}
	if b := d.new.blockOf(n); len(b.key.slots) == 1 { // no need to copy
		k := b.key.slots[0]
		return string(d.old.value(d.old.at(o, k))) == string(d.new.value(d.new.at(n, k)))
	}
	rm.a, _ = d.old.appendKey(rm.a[:0], o)
	rm.b, _ = d.new.appendKey(rm.b[:0], n)
	return string(rm.a) == string(rm.b)
}

// byKey pairs the rows of the middle by key. Of rows with the same key the
// first counts.
func (rm *rowMatcher) byKey(d *differ, m *rowMatch) {
	rows := m.old[m.prefix : len(m.old)-m.suffix]
	if dup := rm.index.build(d.old, rows); dup && d.notes != nil {
		d.notes(d.old.blockOf(rows[0]).where)
	}
	last := int32(-1)
	for j := range m.from {
		m.from[j] = -1
		n := m.new[m.prefix+j]
		i := rm.index.find(d.new, n)
		if i < 0 || m.used[i] || d.old.insts[rows[i]].block != d.new.insts[n].block {
			continue
		}
		m.used[i] = true
		m.from[j] = i32(m.prefix + i)
		m.inOrder = m.inOrder && m.from[j] > last
		last = m.from[j]
	}
}

func (rm *rowMatcher) byPosition(d *differ, m *rowMatch) {
	for j := range m.from {
		m.from[j] = -1
		if j < len(m.used) && d.old.insts[m.old[m.prefix+j]].block == d.new.insts[m.new[m.prefix+j]].block {
			m.from[j] = i32(m.prefix + j)
			m.used[j] = true
		}
	}
}

// longest marks the rows of a longest increasing subsequence of from: they stay
// where they are and all others move around them.
func (rm *rowMatcher) longest(m *rowMatch) {
	m.stays = slices.Grow(m.stays[:0], len(m.from))[:len(m.from)]
	clear(m.stays)
	rm.links = slices.Grow(rm.links[:0], len(m.from))[:len(m.from)]
	tails := rm.tails[:0]
	for j, from := range m.from {
		if from < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(tails, from, func(e, from int32) int { return int(m.from[e] - from) })
		rm.links[j] = -1
		if at > 0 {
			rm.links[j] = tails[at-1]
		}
		if at == len(tails) {
			tails = append(tails, int32(j))
		} else {
			tails[at] = int32(j)
		}
	}
	rm.tails = tails
	if len(tails) == 0 {
		return
	}
	for j := tails[len(tails)-1]; j >= 0; j = rm.links[j] {
		m.stays[j] = true
	}
}

// keyIndex finds rows of one list by key: an open hash table over the keys'
// bytes, reused from diff to diff.
type keyIndex struct {
	table []int32 // position in rows plus one
	tree  *tree
	rows  []uint32
	key   []byte
	other []byte
}

// build indexes rows and says whether two have the same key.
func (x *keyIndex) build(t *tree, rows []uint32) (duplicate bool) {
	size := 8
	for size < 2*len(rows) {
		size *= 2
	}
	x.tree, x.rows = t, rows
	x.table = slices.Grow(x.table[:0], size)[:size]
	clear(x.table)
	for i, row := range rows {
		x.key, _ = t.appendKey(x.key[:0], row)
		at, found := x.slot()
		if found {
			duplicate = true
			continue
		}
		x.table[at] = int32(i + 1)
	}
	return duplicate
}

// find returns the position of the row with the key of another tree's row, or -1.
func (x *keyIndex) find(t *tree, row uint32) int {
	x.key, _ = t.appendKey(x.key[:0], row)
	at, _ := x.slot()
	return int(x.table[at]) - 1
}

// slot returns the table position for x.key.
func (x *keyIndex) slot() (at int, found bool) {
	h := uint64(fnvOffset)
	for _, c := range x.key {
		h = (h ^ uint64(c)) * fnvPrime
	}
	h ^= h >> 29 // the low bits must depend on the whole key
	h *= 0xBF58476D1CE4E5B9
	mask := len(x.table) - 1
	for at = int(h>>40) & mask; x.table[at] != 0; at = (at + 1) & mask {
		x.other, _ = x.tree.appendKey(x.other[:0], x.rows[x.table[at]-1])
		if string(x.other) == string(x.key) {
			return at, true
		}
	}
	return at, false
}

// i32 converts a position in a list of rows.
func i32(n int) int32 { return int32(n) } //nolint:gosec // lists of rows are far shorter
