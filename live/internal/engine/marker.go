package engine

import (
	"encoding/binary"
	"fmt"
	"html/template"
	"io"
	"text/template/parse"
)

// hiddenLen is the number of hidden bytes behind a marked static.
const hiddenLen = 4

// static is one marked piece of template text: the index-th static of a block.
type static struct {
	first *byte
	block *block
	index int
}

// markers recognises the statics of a compiled set in what html/template
// writes. Each static lives in a buffer of its own, with its number in four
// bytes behind the text, inside the slice's capacity but outside its length:
//
//	Text = buf[:len:len+4]     buf: H i <space> 01 00 00 00
//	                                ^ text ^^^^ ^ number ^^
//
// A plain writer sees the text only. Slices of other origin may have four spare
// bytes by chance, so the number is only a hint and the address of the first
// byte decides: nothing that a page can print is able to forge it.
type markers struct {
	statics []static
}

// mark moves a text node's bytes into a marked buffer of their own.
func (m *markers) mark(n *parse.TextNode, b *block, index int) {
	buf := make([]byte, len(n.Text)+hiddenLen)
	size := copy(buf, n.Text)
	binary.LittleEndian.PutUint32(buf[size:], u32(len(m.statics)))
	n.Text = buf[:size:len(buf)]
	m.statics = append(m.statics, static{first: &buf[0], block: b, index: index})
}

// find returns the static that p is, or nil when p is anything else.
func (m *markers) find(p []byte) *static {
	n := len(p)
	if cap(p)-n != hiddenLen {
		return nil
	}
	id := binary.LittleEndian.Uint32(p[n : n+hiddenLen])
	if int64(id) >= int64(len(m.statics)) {
		return nil
	}
	if s := &m.statics[id]; s.first == &p[:1][0] {
		return s
	}
	return nil
}

// probe counts the marked statics that reach it.
type probe struct {
	marks *markers
	seen  int
}

func (p *probe) Write(b []byte) (int, error) {
	if p.marks.find(b) != nil {
		p.seen++
	}
	return len(b), nil
}

// markersArrive checks that this version of html/template hands a text node's
// own slice to the writer, which the technique rests on.
func markersArrive() error {
	t, err := template.New("probe").Parse(`<p>{{.}}</p>`)
	if err != nil {
		return fmt.Errorf("engine: parse self-check: %w", err)
	}
	if err := t.Execute(io.Discard, ""); err != nil {
		return fmt.Errorf("engine: run self-check: %w", err)
	}
	m := &markers{}
	for _, n := range t.Tree.Root.Nodes {
		if text, ok := n.(*parse.TextNode); ok {
			m.mark(text, nil, 0)
		}
	}
	p := &probe{marks: m}
	if err := t.Execute(p, "x"); err != nil {
		return fmt.Errorf("engine: run self-check: %w", err)
	}
	if p.seen != 2 {
		return fmt.Errorf("engine: this Go version copies template text: %d of 2 statics arrived", p.seen)
	}
	return nil
}
