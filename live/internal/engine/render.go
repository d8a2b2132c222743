package engine

import (
	"errors"
	"fmt"
)

const (
	// maxTreeBytes bounds the values of one render.
	maxTreeBytes = 64 << 20
	// maxDepth bounds how deep blocks may lie in blocks: clients walk patches
	// recursively.
	maxDepth = 2000
)

var (
	errOutOfOrder = errors.New("engine: template output out of order")
	errTooLarge   = fmt.Errorf("engine: a page's values exceed %d MiB", maxTreeBytes>>20)
	errTooDeep    = fmt.Errorf("engine: templates nest deeper than %d", maxDepth)
)

// renderer is the writer that a template executes into. It sorts the output
// into the tree: a static moves its position, all other bytes are a value.
type renderer struct {
	*tree
	stack   []frame
	inValue bool // the position is a value slot
	escape  bool // and its bytes arrive unescaped
	memo    *memoRun
	kept    []uint32 // for rows that the memo took from the base tree: their instance there, plus one
	scratch []byte
	differ  differ
}

// frame is an instance that is being written.
type frame struct {
	inst   uint32
	before uint32 // the row before it, plus one
	spans  uint32 // its first span
	block  *block
	slot   int
}

func (r *renderer) start() {
	r.reset()
	r.stack, r.kept = r.stack[:0], r.kept[:0]
	r.inValue, r.escape = false, false
}

// finish checks that the output was whole.
func (r *renderer) finish() error {
	if len(r.stack) != 0 || len(r.insts) == 0 {
		return errOutOfOrder
	}
	return nil
}

// Write takes one static or a part of a value.
func (r *renderer) Write(p []byte) (int, error) {
	if s := r.set.marks.find(p); s != nil {
		return len(p), r.static(s.block, s.index)
	}
	if !r.inValue && len(p) > 0 {
		return 0, errOutOfOrder
	}
	if len(r.buf)+len(p) > maxTreeBytes {
		return 0, errTooLarge
	}
	if r.escape {
		r.buf = appendEscaped(r.buf, p)
	} else {
		r.buf = append(r.buf, p...)
	}
	return len(p), nil
}

// static moves to the k-th static of b.
func (r *renderer) static(b *block, k int) error {
	if k == 0 {
		return r.begin(b)
	}
	if n := len(r.stack); n == 0 || r.stack[n-1].block != b {
		if err := r.unwind(func(f *frame) bool { return f.block == b }); err != nil {
			return err
		}
	}
	f := &r.stack[len(r.stack)-1]
	switch b.slots[f.slot].kind {
	case valueSlot:
		r.span(f).b = u32(len(r.buf))
	case rowsSlot:
		if r.memo != nil {
			if err := r.memo.merge(f.inst, f.slot); err != nil {
				return err
			}
		}
	case branchSlot, callSlot:
	}
	if k == len(b.slots) {
		r.stack = r.stack[:len(r.stack)-1]
		r.inValue, r.escape = false, false
		return nil
	}
	f.slot = k
	r.beginSlot(f)
	return nil
}

// unwind gives up the frames that a break or continue has left.
func (r *renderer) unwind(found func(*frame) bool) error {
	for n := len(r.stack); n > 0; n = len(r.stack) {
		if found(&r.stack[n-1]) {
			return nil
		}
		r.giveUp()
	}
	return errOutOfOrder
}

// begin starts an instance of b in the slot that the position is in.
func (r *renderer) begin(b *block) error {
	if b.parent != nil {
		err := r.unwind(func(f *frame) bool { return f.block == b.parent && f.slot == b.at })
		if err != nil {
			return err
		}
	}
	if len(r.stack) >= maxDepth {
		return errTooDeep
	}
	i, spans := u32(len(r.insts)), u32(len(r.spans))
	r.insts = append(r.insts, instance{block: u32(b.id), spans: spans})
	r.spans = append(r.spans, b.blank...)
	var before uint32
	if len(r.stack)+int(i) > 0 { // not the root
		var err error
		if before, err = r.attach(i); err != nil {
			return err
		}
	}
	r.inValue, r.escape = false, false
	if len(b.slots) > 0 {
		r.stack = append(r.stack, frame{inst: i, before: before, spans: spans, block: b})
		r.beginSlot(&r.stack[len(r.stack)-1])
	}
	return nil
}

// attach puts a new instance into the current slot and returns the row before
// it, plus one.
func (r *renderer) attach(i uint32) (before uint32, err error) {
	if len(r.stack) == 0 {
		return 0, errOutOfOrder
	}
	f := &r.stack[len(r.stack)-1]
	s := r.span(f)
	switch f.block.slots[f.slot].kind {
	case rowsSlot:
		before = s.b
		if before == 0 {
			s.a = i + 1
		} else {
			r.insts[before-1].next = i + 1
		}
		s.b = i + 1
	case branchSlot, callSlot:
		s.a = i + 1
	case valueSlot:
		return 0, errOutOfOrder
	}
	return before, nil
}

func (r *renderer) span(f *frame) *span {
	return &r.spans[f.spans+u32(f.slot)]
}

func (r *renderer) beginSlot(f *frame) {
	s := &f.block.slots[f.slot]
	r.inValue, r.escape = s.kind == valueSlot, s.escape
	if r.inValue {
		r.span(f).a = u32(len(r.buf))
	}
}

// giveUp ends the topmost frame, which a break or continue has left in the
// middle: what it wrote so far becomes one raw value. A row that wrote nothing
// was filtered out and never was.
func (r *renderer) giveUp() {
	f := r.stack[len(r.stack)-1]
	if f.block.slots[f.slot].kind == valueSlot {
		r.span(&f).b = u32(len(r.buf))
	}
	w := r.scratch[:0]
	for k := 0; k <= f.slot; k++ {
		w = append(w, f.block.statics[k]...)
		w = r.appendSlot(w, f.inst, k)
	}
	r.scratch = w
	r.stack = r.stack[:len(r.stack)-1]
	r.inValue, r.escape = false, false
	if len(w) == 0 && f.block.row && len(r.stack) > 0 {
		r.unlink(f)
		return
	}
	r.insts[f.inst].block = rawBlock
	r.insts[f.inst].spans = u32(len(r.spans))
	r.spans = append(r.spans, span{a: u32(len(r.buf)), b: u32(len(r.buf) + len(w))})
	r.buf = append(r.buf, w...)
}

// unlink removes f's instance, the last row of the slot below it.
func (r *renderer) unlink(f frame) {
	s := r.span(&r.stack[len(r.stack)-1])
	s.b = f.before
	if f.before == 0 {
		s.a = 0
		return
	}
	r.insts[f.before-1].next = 0
}

// where returns the position in the templates that the render has reached.
func (r *renderer) where() string {
	if n := len(r.stack); n > 0 {
		f := &r.stack[n-1]
		return f.block.slots[f.slot].where
	}
	return r.set.root.where
}

// beginWhole and endWhole enclose a render of which nothing but one value is
// known.
func (r *renderer) beginWhole() {
	r.insts = append(r.insts, instance{block: u32(r.set.root.id)})
	r.spans = append(r.spans, span{})
	r.inValue = true
}

func (r *renderer) endWhole() { r.spans[0].b = u32(len(r.buf)) }
