package live

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// fieldOf returns the value of an object's field, the last one of that name, as
// it is written. Most actions read a few fields of data that has been found
// valid before, so that nothing needs to be decoded but those.
func fieldOf(object json.RawMessage, name string) (value json.RawMessage, ok bool) {
	rest, open := bytes.CutPrefix(space(object), []byte("{"))
	if !open {
		return nil, false
	}
	for {
		rest = space(rest)
		if len(rest) == 0 || rest[0] != '"' {
			return value, ok
		}
		key := rest[:valueLen(rest)]
		if len(key) < 2 {
			return value, ok
		}
		rest = space(rest[len(key):])
		if len(rest) == 0 || rest[0] != ':' {
			return value, ok
		}
		rest = space(rest[1:])
		v := rest[:valueLen(rest)]
		if len(v) == 0 {
			return value, ok
		}
		if means(key, name) {
			value, ok = v, true
		}
		rest = bytes.TrimPrefix(space(rest[len(v):]), []byte(","))
	}
}

// firstOf returns a list's first element, or nothing.
func firstOf(list json.RawMessage) json.RawMessage {
	rest := space(list[1:])
	return rest[:valueLen(rest)]
}

// means reports whether a JSON string stands for a text, without decoding it
// when it is written as it is.
func means(raw json.RawMessage, text string) bool {
	if in := raw[1 : len(raw)-1]; plain(in) {
		return string(in) == text
	}
	return textOf(raw) == text
}

// plain reports whether a JSON string's inside is the text itself.
func plain(in []byte) bool { return bytes.IndexByte(in, '\\') < 0 && utf8.Valid(in) }

// textOf decodes a JSON string.
func textOf(raw json.RawMessage) string {
	if in := raw[1 : len(raw)-1]; plain(in) {
		return string(in)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func space(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// valueLen returns the length of the value that b begins with, zero when there
// is none.
func valueLen(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringLen(b[i:])
			if n == 0 {
				return 0
			}
			if i += n - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // a number or word before it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	if depth > 0 {
		return 0
	}
	return len(b)
}

// stringLen returns the length of the string that b begins with, zero when it
// does not end.
func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
