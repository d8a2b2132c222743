package engine

import "strconv"

// differ compares two trees of one set and writes the patch that turns the
// first into the second. Its slices are reused: a diff allocates nothing.
//
// Patches are written straight into out, header first, and out is cut back
// where nothing turned out to differ.
type differ struct {
	old, new *tree
	kept     []uint32 // for rows of new that are known to be the same: their instance in old, plus one
	out      []byte
	rows     rowMatcher
	notes    func(where string) // told of duplicate keys; nil outside dev mode
}

// diff appends the patch to dst; changed is false when there is none.
func (d *differ) diff(dst []byte, old, new *tree, kept []uint32) (out []byte, changed bool) {
	d.old, d.new, d.kept, d.out = old, new, kept, dst
	if old.insts[0].block == new.insts[0].block {
		changed = d.instance(0, 0)
	} else {
		d.out = new.appendInstance(d.out, 0)
		changed = true
	}
	out = d.out
	d.old, d.new, d.kept, d.out = nil, nil, nil, nil
	return out, changed
}

// same says whether the row memo has found two rows equal.
func (d *differ) same(o, n uint32) bool { return int(n) < len(d.kept) && d.kept[n] == o+1 }

// instance writes [unit,op,...] for two instances of one block; it returns
// false and writes nothing when they are equal.
func (d *differ) instance(oi, ni uint32) bool {
	b := d.new.blockOf(ni)
	start := len(d.out)
	changed := false
	for x := range b.layout.units {
		u := &b.layout.units[x]
		switch u.kind {
		case blockUnit:
			changed = d.blockUnit(start, x, d.old.at(oi, u.slots[0]).a, d.new.at(ni, u.slots[0]).a) || changed
		case rowsUnit:
			mark := d.pair(start, x)
			if d.rangeOp(d.old.at(oi, u.slots[0]).a, d.new.at(ni, u.slots[0]).a) {
				changed = true
			} else {
				d.out = d.out[:mark]
			}
		case ignoredUnit:
		default:
			if !d.sameText(oi, ni, b, u) {
				d.pair(start, x)
				d.out = d.new.appendUnit(d.out, ni, u)
				changed = true
			}
		}
	}
	if !changed {
		d.out = d.out[:start]
		return false
	}
	d.out = append(d.out, ']')
	return true
}

// pair begins one unit's op and returns where to cut if it comes to nothing.
func (d *differ) pair(start, unit int) (mark int) {
	mark = len(d.out)
	if mark == start {
		d.out = append(d.out, '[')
	} else {
		d.out = append(d.out, ',')
	}
	d.out = strconv.AppendInt(d.out, int64(unit), 10)
	d.out = append(d.out, ',')
	return mark
}

func (d *differ) sameText(oi, ni uint32, b *block, u *unit) bool {
	for _, k := range u.slots {
		if b.slots[k].kind == valueSlot {
			o, n := d.old.at(oi, k), d.new.at(ni, k)
			if string(d.old.value(o)) != string(d.new.value(n)) {
				return false
			}
		} else if !d.old.equalSlot(d.new, oi, ni, k) {
			return false
		}
	}
	return true
}

// blockUnit compares what fills a branch or call: instances plus one, 0 none.
func (d *differ) blockUnit(start, unit int, o, n uint32) bool {
	switch {
	case o == 0 && n == 0:
		return false
	case n == 0:
		d.pair(start, unit)
		d.out = append(d.out, '0')
	case o == 0 || d.old.insts[o-1].block != d.new.insts[n-1].block:
		d.pair(start, unit)
		d.out = d.new.appendInstance(d.out, n-1)
	default:
		mark := d.pair(start, unit)
		if !d.instance(o-1, n-1) {
			d.out = d.out[:mark]
			return false
		}
	}
	return true
}
