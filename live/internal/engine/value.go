package engine

import "strings"

// What fills a slot in an attribute's value, or in raw text, may end it: a branch
// that is written in two parts of the tag, or a call whose body html/template has
// escaped for that place. Then the slot is no part of a value, and the tag counts
// as torn.

// begins tells what a slot does where an attribute's value begins: all that may
// fill it has to be the beginning of a value without quotes.
func (l *layouter) begins(s *slot, at htmlPlace) passage {
	out := passage{end: htmlPlace{syntax: inUnquoted}}
	out.left = !s.total || s.jumps || !plainStart(s)
	for _, child := range s.fill {
		p := l.pass(child, out.end)
		out.left = out.left || p.left
	}
	if out.left {
		for _, child := range s.fill {
			out.end = l.pass(child, at).end
		}
	}
	return out
}

// plainStart says whether what fills the slot begins with a character of a value.
func plainStart(s *slot) bool {
	if s.kind == valueSlot {
		return s.holds == "" // an escaper's output is never empty here
	}
	if s.kind != branchSlot || !s.total {
		return false
	}
	for _, child := range s.fill {
		if k, _, ok := slotRef(child.src); ok && plainStart(&child.slots[k]) {
			continue
		}
		if child.src == "" || strings.ContainsAny(child.src[:1], refMark[:1]+"\"'> \t\r\n\f") {
			return false
		}
	}
	return true
}

// mayLeave says whether the text of an opaque call may end what it lies in.
func mayLeave(s *slot, at htmlPlace) bool {
	switch at.syntax {
	case inDoubleQuotes:
		return strings.Contains(s.holds, `"`)
	case inSingleQuotes:
		return strings.Contains(s.holds, "'")
	case inUnquoted:
		return strings.ContainsAny(s.holds, "> \t\r\n\f")
	case beforeValue:
		return s.holds != ""
	case inRaw:
		return strings.Contains(s.holds, "</")
	default:
		return false // the parser of the whole tag decides
	}
}
