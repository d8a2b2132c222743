package engine

import (
	"html"
	"strconv"
	"strings"
)

// Tag is a start tag as the templates have it.
type Tag struct {
	// Where is the template and line, about: what trim markers took out is not
	// counted.
	Where string
	// Name is the element's, in lower case.
	Name  string
	Attrs []TagAttr
}

// TagAttr is one attribute of a Tag. One whose name a pipeline makes is left
// out.
type TagAttr struct {
	Name, Value string
	// Dynamic says that a pipeline makes part of the value.
	Dynamic bool
}

// EachTag calls fn for every start tag that the templates write. There is none
// when the page could not be taken apart.
func (s *Set) EachTag(fn func(Tag)) {
	for _, b := range s.blocks {
		for _, t := range b.tokens {
			if t.kind != openToken {
				continue
			}
			tag := Tag{Where: b.position(t.start), Name: t.name}
			for _, a := range t.attrs {
				if len(a.nameSlots) > 0 {
					continue
				}
				tag.Attrs = append(tag.Attrs, TagAttr{
					Name: a.name, Value: html.UnescapeString(b.src[a.valueStart:a.valueEnd]),
					Dynamic: len(a.valueSlots) > 0,
				})
			}
			fn(tag)
		}
	}
}

// position tells the template and line of a place in the block's source.
func (b *block) position(at int) string {
	where := b.where
	texts, slots := splitRefs(b.src[:at])
	if n := len(slots); n > 0 {
		where = b.slots[slots[n-1]].where
	}
	name, place, _ := strings.Cut(where, ":")
	number, _, _ := strings.Cut(place, ":")
	line, err := strconv.Atoi(number)
	if err != nil {
		return where
	}
	return name + ":" + strconv.Itoa(line+strings.Count(texts[len(texts)-1], "\n"))
}

// rawElements hold text only; their content is one part for the client.
func rawElement(name string) bool {
	switch name {
	case "script", "style", "textarea", "title", "iframe", "xmp", "noembed", "noframes", "noscript", "plaintext":
		return true
	}
	return false
}
