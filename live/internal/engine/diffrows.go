package engine

import "strconv"

// rowsOp writes the operation on one range:
//
//	{"d":[old|[from,to],...],"u":[old,P|I,...],"o":[old,new,...],"i":[new,[I,...],...]}
//
// d, u and the first of o are positions before, i and the second of o after.
// The rows' keys never travel.
type rowsOp struct {
	d     *differ
	m     *rowMatch
	start int
	field byte // the field being written; 0 for none
}

// rangeOp compares two lists of rows, given by their first instances plus one.
func (d *differ) rangeOp(oldFirst, newFirst uint32) bool {
	if oldFirst == 0 && newFirst == 0 {
		return false
	}
	m := d.rows.match(d, oldFirst, newFirst)
	op := rowsOp{d: d, m: m, start: len(d.out)}
	d.out = append(d.out, '{')
	op.deletions()
	op.updates()
	op.moves()
	op.insertions()
	op.end()
	d.rows.release(m)
	if len(d.out) == op.start+1 {
		d.out = d.out[:op.start]
		return false
	}
	d.out = append(d.out, '}')
	return true
}

// item begins the next element of a field's array and returns where to cut if
// it comes to nothing.
func (op *rowsOp) item(field byte) (mark int) {
	d := op.d
	mark = len(d.out)
	if op.field == field {
		d.out = append(d.out, ',')
		return mark
	}
	if op.field != 0 {
		d.out = append(d.out, ']', ',')
	}
	op.field = field
	d.out = append(d.out, '"', field, '"', ':', '[')
	return mark
}

// cut takes back an item.
func (op *rowsOp) cut(mark int, before byte) {
	op.d.out = op.d.out[:mark]
	op.field = before
}

func (op *rowsOp) end() {
	if op.field != 0 {
		op.d.out = append(op.d.out, ']')
	}
}

func (op *rowsOp) number(n int) { op.d.out = strconv.AppendInt(op.d.out, int64(n), 10) }

func (op *rowsOp) comma() { op.d.out = append(op.d.out, ',') }

func (op *rowsOp) deletions() {
	m := op.m
	for i := m.prefix; i < len(m.old)-m.suffix; i++ {
		if m.used[i-m.prefix] {
			continue
		}
		from := i
		for i+1 < len(m.old)-m.suffix && !m.used[i+1-m.prefix] {
			i++
		}
		op.item('d')
		if from == i {
			op.number(i)
			continue
		}
		op.d.out = append(op.d.out, '[')
		op.number(from)
		op.comma()
		op.number(i)
		op.d.out = append(op.d.out, ']')
	}
}

func (op *rowsOp) updates() {
	m := op.m
	for i := range m.prefix {
		op.update(i, m.old[i], m.new[i])
	}
	for j, from := range m.from {
		if from >= 0 {
			op.update(int(from), m.old[from], m.new[m.prefix+j])
		}
	}
	for i := range m.suffix {
		o := len(m.old) - m.suffix + i
		op.update(o, m.old[o], m.new[len(m.new)-m.suffix+i])
	}
}

func (op *rowsOp) update(at int, o, n uint32) {
	d := op.d
	if d.same(o, n) {
		return
	}
	before := op.field
	mark := op.item('u')
	op.number(at)
	op.comma()
	if d.old.insts[o].block != d.new.insts[n].block {
		d.out = d.new.appendInstance(d.out, n)
	} else if !d.instance(o, n) {
		op.cut(mark, before)
	}
}

func (op *rowsOp) moves() {
	m := op.m
	if m.inOrder {
		return
	}
	for j, from := range m.from {
		if from < 0 || m.stays[j] {
			continue
		}
		op.item('o')
		op.number(int(from))
		op.comma()
		op.number(m.prefix + j)
	}
}

func (op *rowsOp) insertions() {
	m := op.m
	for j := 0; j < len(m.from); j++ {
		if m.from[j] >= 0 {
			continue
		}
		op.item('i')
		op.number(m.prefix + j)
		op.d.out = append(op.d.out, ',', '[')
		for {
			op.d.out = op.d.new.appendInstance(op.d.out, m.new[m.prefix+j])
			if j+1 == len(m.from) || m.from[j+1] >= 0 {
				break
			}
			op.comma()
			j++
		}
		op.d.out = append(op.d.out, ']')
	}
}
