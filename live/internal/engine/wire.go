package engine

import (
	"bytes"
	"slices"
	"strconv"
)

// appendInstance writes an instance for the wire: -(block+1) when the block has
// no units, else [-(block+1), value...].
func (t *tree) appendInstance(w []byte, i uint32) []byte {
	b := t.blockOf(i)
	if len(b.layout.units) == 0 {
		return strconv.AppendInt(w, -int64(b.id)-1, 10)
	}
	w = append(w, '[')
	w = strconv.AppendInt(w, -int64(b.id)-1, 10)
	for x := range b.layout.units {
		u := &b.layout.units[x]
		w = append(w, ',')
		switch u.kind {
		case blockUnit:
			if s := t.at(i, u.slots[0]); s.a == 0 {
				w = append(w, '0')
			} else {
				w = t.appendInstance(w, s.a-1)
			}
		case rowsUnit:
			w = append(w, '[')
			first := t.at(i, u.slots[0]).a
			for r := first; r != 0; r = t.insts[r-1].next {
				if r != first {
					w = append(w, ',')
				}
				w = t.appendInstance(w, r-1)
			}
			w = append(w, ']')
		default:
			w = t.appendUnit(w, i, u)
		}
	}
	return append(w, ']')
}

// appendUnit writes a text unit's value as a JSON string, without the fixed
// text around it: that is in the manifest.
func (t *tree) appendUnit(w []byte, i uint32, u *unit) []byte {
	w = append(w, '"')
	for n, k := range u.slots {
		if n > 0 {
			w = appendJSONText(w, u.texts[n])
		}
		w = t.appendSlotJSON(w, i, k)
	}
	return append(w, '"')
}

// appendSlotJSON is appendSlot inside a JSON string.
func (t *tree) appendSlotJSON(w []byte, i uint32, slot int) []byte {
	s := t.at(i, slot)
	switch t.blockOf(i).slots[slot].kind {
	case valueSlot:
		return appendJSONText(w, t.value(s))
	case rowsSlot:
		for r := s.a; r != 0; r = t.insts[r-1].next {
			w = t.appendPlainJSON(w, r-1)
		}
	case branchSlot, callSlot:
		if s.a != 0 {
			w = t.appendPlainJSON(w, s.a-1)
		}
	}
	return w
}

func (t *tree) appendPlainJSON(w []byte, i uint32) []byte {
	b := t.blockOf(i)
	for k := range b.slots {
		w = appendJSONText(w, b.statics[k])
		w = t.appendSlotJSON(w, i, k)
	}
	return appendJSONText(w, b.statics[len(b.slots)])
}

const regionEnd = "<!--]-->"

// appendMarked writes an instance's HTML with the comments from which a client
// adopts the page:
//
//	<!--[b-->...<!--]-->   a branch or call filled by block b (base 36); <!--[--> when empty
//	<!--[b-->...<!--]-->   rows that are all block b and can be told apart without marks
//	<!--[--><!--b-->...    other rows, each after its block
//	<!--[h-->...<!--]-->   a text run that holds trusted HTML
//
// A region that is all its element holds has no end comment.
func (t *tree) appendMarked(w []byte, i uint32) []byte {
	b := t.blockOf(i)
	for x := range b.layout.units {
		u := &b.layout.units[x]
		w = append(w, b.layout.pieces[x]...)
		switch u.kind {
		case blockUnit:
			s := t.at(i, u.slots[0])
			w = append(w, "<!--["...)
			if s.a != 0 {
				w = strconv.AppendUint(w, uint64(t.insts[s.a-1].block), 36)
			}
			w = append(w, "-->"...)
			if s.a != 0 {
				w = t.appendMarked(w, s.a-1)
			}
		case rowsUnit:
			w = t.appendMarkedRows(w, t.at(i, u.slots[0]).a)
		case textUnit:
			w = t.appendMarkedText(w, i, u)
			continue
		default:
			w = t.appendUnitPlain(w, i, u)
			continue
		}
		if !u.only {
			w = append(w, regionEnd...)
		}
	}
	return append(w, b.layout.pieces[len(b.layout.units)]...)
}

func (t *tree) appendMarkedRows(w []byte, first uint32) []byte {
	uniform := first != 0 && t.blockOf(first-1).layout.uniform
	for r := first; r != 0 && uniform; r = t.insts[r-1].next {
		uniform = t.insts[r-1].block == t.insts[first-1].block
	}
	w = append(w, "<!--["...)
	if uniform {
		w = strconv.AppendUint(w, uint64(t.insts[first-1].block), 36)
	}
	w = append(w, "-->"...)
	for r := first; r != 0; r = t.insts[r-1].next {
		if !uniform {
			w = append(w, "<!--"...)
			w = strconv.AppendUint(w, uint64(t.insts[r-1].block), 36)
			w = append(w, "-->"...)
		}
		w = t.appendMarked(w, r-1)
	}
	return w
}

func (t *tree) appendMarkedText(w []byte, i uint32, u *unit) []byte {
	const open = "<!--[h-->"
	start := len(w)
	w = append(w, open...)
	w = t.appendUnitPlain(w, i, u)
	if bytes.IndexByte(w[start+len(open):], '<') >= 0 {
		if u.first { // behind the mark the parser would not drop it
			w = slices.Delete(w, start+len(open), start+len(open)+newlineLen(w[start+len(open):]))
		}
		return append(w, regionEnd...)
	}
	return append(w[:start], w[start+len(open):]...)
}

// newlineLen returns the length of the newline that s begins with, or 0.
func newlineLen(s []byte) int {
	n := 0
	if n < len(s) && s[n] == '\r' {
		n++
	}
	if n < len(s) && s[n] == '\n' {
		n++
	}
	return n
}

func (t *tree) appendUnitPlain(w []byte, i uint32, u *unit) []byte {
	for n, k := range u.slots {
		w = append(w, u.texts[n]...)
		w = t.appendSlot(w, i, k)
	}
	return append(w, u.texts[len(u.slots)]...)
}
