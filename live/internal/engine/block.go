package engine

import "strings"

// slotKind says what fills a slot.
type slotKind uint8

const (
	valueSlot  slotKind = iota // bytes: a printed pipeline, or a call escaped for another context than text
	branchSlot                 // the alternative of an if or with that was taken, or none
	rowsSlot                   // the rows of a range, or its else
	callSlot                   // the body of a called template
)

// slot is a hole between two statics of a block.
type slot struct {
	kind   slotKind
	escape bool     // typed printing: the renderer escapes what is written here
	fill   []*block // the blocks that may fill it; none for a value
	total  bool     // a branch that always takes one of fill
	jumps  bool     // a break or continue inside may leave the block here
	cond   string   // the condition of an if without else, when it cannot change during a render
	where  string   // template:line:column
	callee string   // template name of a call
	holds  string   // a value: the template text in the call that prints it
}

// block is the unit of execution: a template body, one alternative of an if or
// with, the body of a range or its else. It always writes the same statics, and
// between two of them one slot: statics[0] slot[0] statics[1] ... statics[n].
type block struct {
	id      int
	name    string // path for people: template/if0/row1
	where   string // template:line:column of its first node
	statics []string
	slots   []slot
	parent  *block // the block whose slot it fills; nil for a template body
	at      int    // that slot's number
	row     bool   // the body of a range
	blank   []span // one for each slot, empty

	src    string  // see markup
	tokens []token // of src, read from text
	passes passage
	layout layout
	key    rowKey
}

// rowKey says where a row carries its identity.
type rowKey struct {
	slots []int // value slots that make up the key attribute
	call  int   // or the call slot whose block carries it; -1 for none
}

// markup returns the block's source: its statics with slot references between.
// ok is false when the template's own text contains what marks a reference.
func (b *block) markup() (src string, ok bool) {
	ok = true
	var s []byte
	for i, static := range b.statics {
		ok = ok && !strings.Contains(static, refMark)
		s = append(s, static...)
		if i < len(b.slots) {
			s = appendSlotRef(s, i)
		}
	}
	return string(s), ok
}
