package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// manifestVersion counts changes of the manifest's form.
const manifestVersion = 1

// appendManifest writes what a client must know of the templates: the skeleton
// and units of every block that it can meet. docs/protocol.md has the grammar.
func (s *Set) appendManifest(w []byte) []byte {
	w = append(w, `{"v":`...)
	w = strconv.AppendInt(w, manifestVersion, 10)
	w = append(w, `,"r":`...)
	w = strconv.AppendInt(w, int64(s.root.id), 10)
	w = append(w, `,"b":[`...)
	for i, b := range s.blocks {
		if i > 0 {
			w = append(w, ',')
		}
		if !b.layout.reached {
			w = append(w, '0')
			continue
		}
		w = b.appendManifest(w)
	}
	return append(w, "]}"...)
}

func (b *block) appendManifest(w []byte) []byte {
	w = append(w, `{"h":"`...)
	for i, piece := range b.layout.pieces {
		w = appendJSONText(w, piece)
		if i < len(b.layout.units) {
			w = appendPlaceholder(w, i, &b.layout.units[i])
		}
	}
	w = append(w, `","u":[`...)
	for i := range b.layout.units {
		if i > 0 {
			w = append(w, ',')
		}
		w = b.layout.units[i].appendManifest(w)
	}
	w = append(w, ']')
	if k := b.keyUnit(); k >= 0 {
		w = append(w, `,"k":`...)
		w = strconv.AppendInt(w, int64(k), 10)
	}
	if b.layout.namespace != "" {
		w = append(w, `,"n":"`...)
		w = append(w, b.layout.namespace...)
		w = append(w, '"')
	}
	return append(w, '}')
}

// keyUnit returns the unit that holds a row's key: an attribute, or the call of
// the block that has it; -1 for none.
func (b *block) keyUnit() int {
	return slices.IndexFunc(b.layout.units, func(u unit) bool {
		if u.kind == blockUnit {
			return u.slots[0] == b.key.call
		}
		return u.kind == attrUnit && len(b.key.slots) > 0 && slices.Equal(u.slots, b.key.slots)
	})
}

// appendPlaceholder writes what stands for a unit in a skeleton.
func appendPlaceholder(w []byte, i int, u *unit) []byte {
	if u.region() || u.kind == htmlUnit || u.kind == ignoredUnit {
		w = append(w, "<!--"...) // a table takes no text
		w = strconv.AppendInt(w, int64(i), 10)
		return append(w, "-->"...)
	}
	if u.kind == spanUnit {
		w = append(w, ' ') // an attribute of its own, whatever is before
	}
	return appendSlotRef(w, i)
}

// appendManifest writes a unit: its kind alone, or [kind, before, behind, names]
// without empty strings at the end.
func (u *unit) appendManifest(w []byte) []byte {
	args := []string{string(u.kind), "", "", u.names}
	if n := len(u.slots); !u.region() {
		args[1] = u.texts[0]
		if n > 0 {
			args[2] = u.texts[n]
		}
	}
	for len(args) > 1 && args[len(args)-1] == "" {
		args = args[:len(args)-1]
	}
	if len(args) == 1 {
		return appendJSONString(w, args[0])
	}
	w = append(w, '[')
	for i, a := range args {
		if i > 0 {
			w = append(w, ',')
		}
		w = appendJSONString(w, a)
	}
	return append(w, ']')
}

func fingerprint(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:8])
}

// diagnose lists for people what is not patched part by part, and why.
func (s *Set) diagnose() {
	if whole := s.root.layout.whole; whole != "" {
		s.notes = append(s.notes, whole+": the page is patched as one piece of HTML")
		return
	}
	for _, b := range s.blocks {
		if !b.layout.reached {
			continue
		}
		for _, token := range slices.Sorted(mapKeys(b.layout.html)) {
			if _, closed := b.layout.closes[token]; closed {
				s.notes = append(s.notes, b.layout.html[token]+": <"+b.tokens[token].name+"> is patched as HTML")
			}
		}
	}
}
