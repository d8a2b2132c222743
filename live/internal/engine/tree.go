package engine

// tree is one render without its statics: which block filled which slot, and
// the bytes of the values. Instances, spans and bytes lie flat in three slices,
// so a tree is reused without allocating and an idle one is three objects.
type tree struct {
	set    *Set
	buf    []byte     // the values' bytes, in the order of writing
	spans  []span     // one for each slot of each instance
	insts  []instance // insts[0] is the root
	plans  []plan     // what the row memo remembers of this render
	hashes []uint64
}

// span is the content of a slot. Value: bytes [a,b) of buf. Branch and call:
// a-1 is the instance, a=0 none. Rows: a-1 the first and b-1 the last instance.
type span struct{ a, b uint32 }

// instance is one run of a block.
type instance struct {
	block uint32 // number of the block
	spans uint32 // its first span
	next  uint32 // the next row plus one; 0 for the last
}

// u32 converts a length to a position in a tree. No tree comes near its range:
// maxTreeBytes bounds the values, and memory the rest.
func u32(n int) uint32 { return uint32(n) } //nolint:gosec // see above

func (t *tree) reset() {
	t.buf, t.spans, t.insts = t.buf[:0], t.spans[:0], t.insts[:0]
	t.plans, t.hashes = t.plans[:0], t.hashes[:0]
}

func (t *tree) blockOf(i uint32) *block { return t.set.blocks[t.insts[i].block] }

// at returns the content of an instance's slot.
func (t *tree) at(i uint32, slot int) span { return t.spans[t.insts[i].spans+u32(slot)] }

func (t *tree) value(s span) []byte { return t.buf[s.a:s.b] }

// copyFrom makes t equal to o, in memory that fits.
func (t *tree) copyFrom(o *tree) {
	t.set = o.set
	t.buf = fitted(t.buf, o.buf)
	t.spans = fitted(t.spans, o.spans)
	t.insts = fitted(t.insts, o.insts)
	t.plans = fitted(t.plans, o.plans)
	t.hashes = fitted(t.hashes, o.hashes)
}

func fitted[T any](dst, src []T) []T {
	if !fits(cap(dst), len(src)) {
		dst = make([]T, 0, len(src))
	}
	return append(dst[:0], src...)
}

// fits says whether the tree wastes no memory that an idle connection would
// hold.
func (t *tree) fits() bool {
	return fits(cap(t.buf), len(t.buf)) && fits(cap(t.spans), len(t.spans)) && fits(cap(t.insts), len(t.insts)) &&
		fits(cap(t.plans), len(t.plans)) && fits(cap(t.hashes), len(t.hashes))
}

// fits says whether memory is neither too small nor much too large: trees of
// idle connections are most of a server's memory.
func fits(have, want int) bool { return have >= want && have <= want+want/64+32 }

// appendPlain appends what html/template itself would have written for an
// instance.
func (t *tree) appendPlain(w []byte, i uint32) []byte {
	b := t.blockOf(i)
	for k := range b.slots {
		w = append(w, b.statics[k]...)
		w = t.appendSlot(w, i, k)
	}
	return append(w, b.statics[len(b.slots)]...)
}

// appendSlot appends the output of one slot.
func (t *tree) appendSlot(w []byte, i uint32, slot int) []byte {
	s := t.at(i, slot)
	switch t.blockOf(i).slots[slot].kind {
	case valueSlot:
		return append(w, t.value(s)...)
	case rowsSlot:
		for r := s.a; r != 0; r = t.insts[r-1].next {
			w = t.appendPlain(w, r-1)
		}
	case branchSlot, callSlot:
		if s.a != 0 {
			w = t.appendPlain(w, s.a-1)
		}
	}
	return w
}

// equal says whether two instances of two trees of one set have the same output
// by construction: the same blocks with the same values.
func (t *tree) equal(o *tree, ti, oi uint32) bool {
	if t.insts[ti].block != o.insts[oi].block {
		return false
	}
	for k := range t.blockOf(ti).slots {
		if !t.equalSlot(o, ti, oi, k) {
			return false
		}
	}
	return true
}

// equalSlot compares one slot of two instances of the same block.
func (t *tree) equalSlot(o *tree, ti, oi uint32, slot int) bool {
	ts, os := t.at(ti, slot), o.at(oi, slot)
	switch t.blockOf(ti).slots[slot].kind {
	case valueSlot:
		return string(t.value(ts)) == string(o.value(os))
	case rowsSlot:
		a, b := ts.a, os.a
		for a != 0 && b != 0 {
			if !t.equal(o, a-1, b-1) {
				return false
			}
			a, b = t.insts[a-1].next, o.insts[b-1].next
		}
		return a == b
	case branchSlot, callSlot:
		if ts.a == 0 || os.a == 0 {
			return ts.a == os.a
		}
		return t.equal(o, ts.a-1, os.a-1)
	}
	return false
}

// appendKey appends the key of a row, and says whether it has one.
func (t *tree) appendKey(w []byte, row uint32) ([]byte, bool) {
	b := t.blockOf(row)
	for b.key.call >= 0 {
		s := t.at(row, b.key.call)
		if s.a == 0 {
			return w, false
		}
		row = s.a - 1
		b = t.blockOf(row)
	}
	for _, k := range b.key.slots {
		w = append(w, t.value(t.at(row, k))...)
		w = append(w, 0)
	}
	return w, len(b.key.slots) > 0
}

// hash returns a hash of all that the statics do not say. It is the same in
// every process.
func (t *tree) hash() uint64 {
	h := uint64(fnvOffset)
	return t.hashInst(h, 0)
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func (t *tree) hashInst(h uint64, i uint32) uint64 {
	b := t.blockOf(i)
	h = (h ^ uint64(u32(b.id)+1)) * fnvPrime
	for k := range b.slots {
		s := t.at(i, k)
		switch b.slots[k].kind {
		case valueSlot:
			v := t.value(s)
			h = (h ^ uint64(len(v))) * fnvPrime
			for _, c := range v {
				h = (h ^ uint64(c)) * fnvPrime
			}
		case rowsSlot:
			for r := s.a; r != 0; r = t.insts[r-1].next {
				h = t.hashInst(h, r-1)
			}
			h = (h ^ 0xfe) * fnvPrime
		case branchSlot, callSlot:
			if s.a != 0 {
				h = t.hashInst(h, s.a-1)
			}
			h = (h ^ 0xfd) * fnvPrime
		}
	}
	return h
}
