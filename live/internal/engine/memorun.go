package engine

import (
	"errors"
	"reflect"
	"slices"
)

// plan is what a tree remembers of one run of a memoised range.
type plan struct {
	memo     int
	inst     uint32 // the instance whose slot holds the rows
	slot     int
	from, to int // its rows' hashes in the tree
}

// memoRun decides, during one render, which rows are executed, and puts the
// others between them when the range ends.
type memoRun struct {
	r      *renderer
	base   *tree
	open   bool    // a range is running, of the last plan
	old    *plan   // its counterpart in the base; nil when all rows are executed
	keep   []int32 // for each of its rows the position in the base, or -1
	rowsAt []uint32
	byHash map[uint64]int32
}

var errNoRender = errors.New("engine: no render in progress")

func (m *memoRun) begin(r *renderer, base *tree) {
	m.r, m.base, m.open = r, base, false
	r.memo = m
}

func (m *memoRun) end() {
	m.r.memo = nil
	m.r, m.base, m.old = nil, nil, nil
}

// rows is the function that a memoised range calls: it returns the rows that
// must be executed.
func (m *memoRun) rows(id int, v reflect.Value) (reflect.Value, error) {
	if m.r == nil || len(m.r.stack) == 0 {
		return v, errNoRender
	}
	t := m.r.tree
	at := &m.r.stack[len(m.r.stack)-1]
	p := plan{memo: id, inst: at.inst, slot: at.slot, from: len(t.hashes)}
	t.hashes = t.set.keys.Rows(t.hashes, t.set.memos[id].row, v)
	p.to = len(t.hashes)
	m.old = m.counterpart(&p)
	t.plans = append(t.plans, p)
	m.keep = m.keep[:0]
	if m.old == nil {
		return v, nil
	}
	m.open = true
	dirty := m.match(m.base.hashes[m.old.from:m.old.to], t.hashes[p.from:p.to])
	return pick(v, m.keep, dirty), nil
}

// counterpart returns the base's plan for the same run of the same range: the
// n-th of this render is compared with the n-th of the last. Which run it is
// only matters for speed, since rows are reused by content.
func (m *memoRun) counterpart(p *plan) *plan {
	n := 0
	for i := range m.r.plans {
		if m.r.plans[i].memo == p.memo {
			n++
		}
	}
	if m.base == nil {
		return nil
	}
	for i := range m.base.plans {
		old := &m.base.plans[i]
		if old.memo != p.memo {
			continue
		}
		if n == 0 && m.base.insts[old.inst].block == m.r.insts[p.inst].block { // not given up since
			return old
		}
		n--
	}
	return nil
}

// manyDirty is the number of unmatched rows from which on searching the base
// for their hashes pays.
const manyDirty = 8

// match appends to keep, for each new hash, the position of an equal old one or
// -1, and returns the number of the latter.
func (m *memoRun) match(old, new []uint64) (dirty int) {
	prefix, suffix, short := 0, 0, min(len(old), len(new))
	for prefix < short && old[prefix] == new[prefix] {
		prefix++
	}
	for suffix < short-prefix && old[len(old)-1-suffix] == new[len(new)-1-suffix] {
		suffix++
	}
	shift := len(old) - len(new)
	for j, h := range new {
		from := -1
		switch {
		case j < prefix || shift == 0 && old[j] == h:
			from = j
		case j >= len(new)-suffix:
			from = j + shift
		default:
			dirty++
		}
		m.keep = append(m.keep, int32(from))
	}
	if dirty <= manyDirty || len(old) == prefix+suffix {
		return dirty
	}
	if m.byHash == nil {
		m.byHash = map[uint64]int32{}
	}
	clear(m.byHash)
	for i := prefix; i < len(old)-suffix; i++ {
		m.byHash[old[i]] = int32(i)
	}
	for j, h := range new {
		if i, ok := m.byHash[h]; ok && m.keep[j] < 0 {
			m.keep[j] = i
			dirty--
		}
	}
	return dirty
}

// pick returns the elements of v that keep has no old row for.
func pick(v reflect.Value, keep []int32, dirty int) reflect.Value {
	if dirty == len(keep) {
		return v
	}
	isDirty := func(k int32) bool { return k < 0 }
	first := max(slices.IndexFunc(keep, isDirty), 0)
	if !slices.ContainsFunc(keep[min(first+dirty, len(keep)):], isDirty) {
		return v.Slice(first, first+dirty) // one run of them
	}
	out := reflect.MakeSlice(v.Type(), dirty, dirty)
	n := 0
	for j, k := range keep {
		if k < 0 {
			out.Index(n).Set(v.Index(j))
			n++
		}
	}
	return out
}

// merge puts the rows that were not executed between those that were, when the
// memoised range in the slot of an instance has ended.
func (m *memoRun) merge(inst uint32, slot int) error {
	t := m.r.tree
	if !m.open {
		return nil
	}
	p := &t.plans[len(t.plans)-1]
	if p.inst != inst || p.slot != slot {
		return nil
	}
	m.open = false
	m.rowsAt = rowsOf(m.rowsAt, m.base, m.base.at(m.old.inst, m.old.slot).a)
	executed := t.at(inst, slot).a
	var s span
	for _, k := range m.keep {
		var row uint32
		switch {
		case k < 0 && executed == 0 || int(k) >= len(m.rowsAt):
			return errOutOfOrder
		case k < 0:
			row, executed = executed, t.insts[executed-1].next
		default:
			row = t.adopt(m.base, m.rowsAt[k]) + 1
			m.r.keep(row-1, m.rowsAt[k])
		}
		t.link(&s, row)
	}
	if s.b != 0 {
		t.insts[s.b-1].next = 0
	}
	t.spans[t.insts[inst].spans+u32(slot)] = s
	return nil
}

// keep notes that a row is the same as one of the base tree.
func (r *renderer) keep(row, old uint32) {
	if n := int(row) + 1 - len(r.kept); n > 0 {
		r.kept = slices.Grow(r.kept, n)
		clear(r.kept[len(r.kept) : len(r.kept)+n])
		r.kept = r.kept[:len(r.kept)+n]
	}
	r.kept[row] = old + 1
}

// link appends a row, given by its instance plus one, to the rows of s.
func (t *tree) link(s *span, row uint32) {
	if s.a == 0 {
		s.a = row
	} else {
		t.insts[s.b-1].next = row
	}
	s.b = row
}

// adopt copies an instance of another tree with all below it.
func (t *tree) adopt(o *tree, oi uint32) uint32 {
	i := u32(len(t.insts))
	src := o.insts[oi]
	b := t.set.blocks[src.block]
	base := u32(len(t.spans))
	t.insts = append(t.insts, instance{block: src.block, spans: base})
	t.spans = append(t.spans, o.spans[src.spans:src.spans+u32(len(b.slots))]...)
	for k := range b.slots {
		s := t.spans[base+u32(k)]
		switch b.slots[k].kind {
		case valueSlot:
			at := u32(len(t.buf))
			t.buf = append(t.buf, o.buf[s.a:s.b]...)
			t.spans[base+u32(k)] = span{a: at, b: u32(len(t.buf))}
		case rowsSlot:
			t.spans[base+u32(k)] = t.adoptRows(o, s.a)
		case branchSlot, callSlot:
			if s.a != 0 {
				t.spans[base+u32(k)].a = t.adopt(o, s.a-1) + 1
			}
		}
	}
	return i
}

func (t *tree) adoptRows(o *tree, first uint32) span {
	var s span
	for r := first; r != 0; r = o.insts[r-1].next {
		t.link(&s, t.adopt(o, r-1)+1)
	}
	return s
}
