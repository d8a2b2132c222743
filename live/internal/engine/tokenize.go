package engine

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// refMark encloses a slot's number in a block's source. It is a noncharacter:
// valid in UTF-8, JSON and the DOM, and meaningless in any text.
const refMark = "\uFDD0"

func appendSlotRef(s []byte, slot int) []byte {
	s = append(s, refMark...)
	s = strconv.AppendInt(s, int64(slot), 10)
	return append(s, refMark...)
}

// slotRef reads the reference at the start of s and returns its slot and length.
func slotRef(s string) (slot, length int, ok bool) {
	if !strings.HasPrefix(s, refMark) {
		return 0, 0, false
	}
	end := strings.Index(s[len(refMark):], refMark)
	if end < 0 {
		return 0, 0, false
	}
	slot, err := strconv.Atoi(s[len(refMark) : len(refMark)+end])
	return slot, len(refMark)*2 + end, err == nil
}

// splitRefs cuts s at its slot references: texts has one more element than slots.
func splitRefs(s string) (texts []string, slots []int) {
	start := 0
	for i := 0; i < len(s); {
		slot, n, ok := slotRef(s[i:])
		if !ok {
			i++
			continue
		}
		texts = append(texts, s[start:i])
		slots = append(slots, slot)
		i += n
		start = i
	}
	return append(texts, s[start:]), slots
}

// syntax is a place in HTML source.
type syntax uint8

const (
	inText syntax = iota
	inTagName
	inTag // between attributes
	inAttrName
	afterAttrName
	beforeValue
	inDoubleQuotes
	inSingleQuotes
	inUnquoted
	inRaw         // content of a script, style, textarea, title ...
	inDeclaration // <!doctype ...>
)

// htmlPlace is a syntax with the element whose raw content it is in.
type htmlPlace struct {
	syntax syntax
	raw    string
}

// sameAs says whether two places differ in nothing that matters to a slot: all
// places between the attributes of a tag are one.
func (p htmlPlace) sameAs(o htmlPlace) bool { return p.coarse() == o.coarse() }

func (p htmlPlace) coarse() htmlPlace {
	if p.syntax == inAttrName || p.syntax == afterAttrName {
		p.syntax = inTag
	}
	return p
}

type tokenKind uint8

const (
	textToken  tokenKind = iota
	slotToken            // a slot in text
	openToken            // a start tag
	closeToken           // an end tag
	rawToken             // the content of a raw element
	otherToken           // a declaration
)

// token is a piece of a block's source.
type token struct {
	kind        tokenKind
	start, end  int
	slot        int    // slotToken
	name        string // element, in lower case
	dynamicName bool   // a slot is part of the name
	selfClosed  bool   // the tag ends in />
	torn        bool   // a slot inside may end the tag, value or raw content
	attrs       []attr
}

// attr is one attribute in a start tag.
type attr struct {
	start, end           int // name to the end of the value, quotes included
	nameEnd              int
	valueStart, valueEnd int // without quotes; 0,0 without a value
	name                 string
	nameSlots            []int
	valueSlots           []int
}

// tokenizer reads a block's source. It never fails: what it does not know as
// HTML is text.
type tokenizer struct {
	src    string
	at     htmlPlace
	pos    int
	tokens []token
	tag    token // the tag under way
	attr   attr
	ready  bool // attr holds one
	start  int  // of the text or raw run under way
	torn   bool // a slot has left the raw content under way
	moved  bool // the place has changed
	after  afterSlot
}

// passage is what happens to the place between two points of the source.
type passage struct {
	end  htmlPlace
	left bool // the tag, value or raw content was left, even if entered again
	// spaced: whatever fills the slot starts with a space, so it ends a tag's name.
	spaced bool
}

// afterSlot tells how a slot's content moves the place.
type afterSlot func(slot int, at htmlPlace) passage

// tokenize reads src, which starts at a place, and says how it moves it.
func tokenize(src string, at htmlPlace, after afterSlot) ([]token, passage) {
	t := &tokenizer{src: src, at: at, after: after}
	for t.pos < len(src) {
		t.moved = t.moved || !t.at.sameAs(at)
		if slot, n, ok := slotRef(src[t.pos:]); ok {
			t.slotRef(slot, n)
			continue
		}
		switch t.at.syntax {
		case inText:
			t.text()
		case inRaw:
			t.rawText()
		case inTagName:
			t.tagName()
		case inTag, inAttrName, afterAttrName, beforeValue:
			t.inTag()
		case inDoubleQuotes:
			t.quoted('"')
		case inSingleQuotes:
			t.quoted('\'')
		case inUnquoted:
			t.unquoted()
		case inDeclaration:
			if src[t.pos] == '>' {
				t.emit(token{kind: otherToken, start: t.start, end: t.pos + 1})
				t.at = htmlPlace{}
				t.start = t.pos + 1
			}
			t.pos++
		}
	}
	if t.at.syntax == inText {
		t.endText()
	}
	left := t.moved || !t.at.sameAs(at)
	if at.coarse().syntax == inTag {
		left = len(t.tokens) > 0 // attributes come and go; only the tag's end counts
	}
	return t.tokens, passage{end: t.at, left: left}
}

func (t *tokenizer) emit(k token) { t.tokens = append(t.tokens, k) }

func (t *tokenizer) endText() {
	if t.start < t.pos {
		t.emit(token{kind: textToken, start: t.start, end: t.pos})
	}
	t.start = t.pos
}

func (t *tokenizer) slotRef(slot, n int) {
	if t.at.syntax == inTagName && t.after(slot, htmlPlace{syntax: inTag}).spaced {
		t.at.syntax = inTag
	}
	switch t.at.syntax {
	case inText:
		t.endText()
		t.emit(token{kind: slotToken, slot: slot, start: t.pos, end: t.pos + n})
		t.start = t.pos + n
	case inTagName:
		t.tag.dynamicName = true
		t.tag.name += refMark
	case inTag, inAttrName, afterAttrName:
		if t.at.syntax != inAttrName {
			t.beginAttr()
		}
		t.attr.nameSlots = append(t.attr.nameSlots, slot)
		t.at.syntax = inAttrName
	case beforeValue:
		// What fills the slot may begin with a quote, or be nothing: then the value
		// is what comes behind.
		p := t.after(slot, t.at)
		t.attr.valueStart = t.pos
		t.at.syntax = inUnquoted
		t.attr.valueSlots = append(t.attr.valueSlots, slot)
		if p.left {
			t.at, t.tag.torn, t.torn = p.end, true, true
		}
	case inDoubleQuotes, inSingleQuotes, inUnquoted:
		t.attr.valueSlots = append(t.attr.valueSlots, slot)
	case inRaw, inDeclaration:
	}
	t.pos += n
	was := t.at.syntax
	next := t.after(slot, t.at)
	if !next.end.sameAs(t.at) {
		t.at = next.end
	}
	if next.left && was != inText {
		t.tag.torn, t.torn = true, true
	}
	if t.at.syntax == inAttrName {
		t.attr.nameEnd, t.attr.end = t.pos, t.pos
	}
}

func (t *tokenizer) text() {
	if t.src[t.pos] != '<' || t.pos+1 == len(t.src) {
		t.pos++
		return
	}
	next := t.src[t.pos+1]
	switch {
	case next == '!' || next == '?':
		t.endText()
		t.at.syntax = inDeclaration
		t.pos++
	case next == '/' || isLetter(next):
		t.endText()
		t.tag = token{kind: openToken, start: t.pos}
		if next == '/' {
			t.tag.kind = closeToken
			t.pos++
		}
		t.at.syntax = inTagName
		t.pos++
	default:
		t.pos++
	}
}

func (t *tokenizer) rawText() {
	rest := t.src[t.pos:]
	if rest[0] == '<' && endsRaw(rest, t.at.raw) {
		if t.start < t.pos {
			t.emit(token{kind: rawToken, start: t.start, end: t.pos, name: t.at.raw, torn: t.torn})
		}
		t.tag = token{kind: closeToken, start: t.pos}
		t.at = htmlPlace{syntax: inTagName}
		t.pos++
	}
	t.pos++
}

// endsRaw says whether s starts with the end tag of name.
func endsRaw(s, name string) bool {
	n := 2 + len(name)
	if len(s) < n || s[1] != '/' || !strings.EqualFold(s[2:n], name) {
		return false
	}
	return len(s) == n || isSpace(s[n]) || s[n] == '>' || s[n] == '/'
}

func (t *tokenizer) tagName() {
	switch c := t.src[t.pos]; {
	case isSpace(c):
		t.at.syntax = inTag
	case c == '/' || c == '>':
		t.at.syntax = inTag
		return
	default:
		t.tag.name += strings.ToLower(string(c))
	}
	t.pos++
}

func (t *tokenizer) inTag() {
	c := t.src[t.pos]
	switch {
	case c == '>':
		t.endTag()
		return
	case isSpace(c):
		if t.at.syntax == inAttrName {
			t.at.syntax = afterAttrName
		}
	case c == '/' && t.at.syntax != beforeValue:
		t.endAttr()
		t.at.syntax = inTag
	case c == '=' && t.ready && t.at.syntax != beforeValue && t.at.syntax != inTag:
		t.at.syntax = beforeValue
	case t.at.syntax == beforeValue:
		t.beginValue(c)
		return
	default:
		if t.at.syntax != inAttrName {
			t.beginAttr()
		}
		t.at.syntax = inAttrName
		_, size := utf8.DecodeRuneInString(t.src[t.pos:])
		t.attr.name += strings.ToLower(t.src[t.pos : t.pos+size])
		t.pos += size - 1
		t.attr.nameEnd, t.attr.end = t.pos+1, t.pos+1
	}
	t.pos++
}

func (t *tokenizer) beginAttr() {
	t.endAttr()
	t.attr = attr{start: t.pos, nameEnd: t.pos, end: t.pos}
	t.ready = true
}

func (t *tokenizer) endAttr() {
	if t.ready {
		t.tag.attrs = append(t.tag.attrs, t.attr)
	}
	t.ready = false
}

func (t *tokenizer) beginValue(c byte) {
	switch c {
	case '"':
		t.at.syntax = inDoubleQuotes
		t.pos++
	case '\'':
		t.at.syntax = inSingleQuotes
		t.pos++
	default:
		t.at.syntax = inUnquoted
	}
	t.attr.valueStart, t.attr.valueEnd = t.pos, t.pos
}

func (t *tokenizer) quoted(quote byte) {
	if t.src[t.pos] == quote {
		t.attr.valueEnd, t.attr.end = t.pos, t.pos+1
		t.endAttr()
		t.at.syntax = inTag
	}
	t.pos++
}

func (t *tokenizer) unquoted() {
	if c := t.src[t.pos]; isSpace(c) || c == '>' {
		t.attr.valueEnd, t.attr.end = t.pos, t.pos
		t.endAttr()
		t.at.syntax = inTag
		return
	}
	t.pos++
}

// endTag ends the tag under way at its '>'.
func (t *tokenizer) endTag() {
	t.endAttr()
	t.tag.selfClosed = t.pos > 0 && t.src[t.pos-1] == '/'
	t.pos++
	t.tag.end = t.pos
	t.emit(t.tag)
	t.start = t.pos
	t.at = htmlPlace{}
	if t.tag.kind == openToken && rawElement(t.tag.name) {
		t.at = htmlPlace{syntax: inRaw, raw: t.tag.name}
		t.torn = false
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
