package engine

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

func appendJSONString(w []byte, s string) []byte {
	w = append(w, '"')
	w = appendJSONText(w, s)
	return append(w, '"')
}

// appendJSONText appends s as a part of a JSON string. Bytes that are not valid
// UTF-8 become U+FFFD, and carriage returns newlines, as an HTML parser has it.
func appendJSONText[T string | []byte](w []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = decodeRune(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		w = append(w, s[start:i]...)
		w = appendJSONEscape(w, c, i+1 < len(s) && s[i+1] == '\n')
		i += size
		start = i
	}
	return append(w, s[start:]...)
}

func decodeRune[T string | []byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	return utf8.DecodeRune(b[:n])
}

func appendJSONEscape(w []byte, c byte, beforeNewline bool) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(w, '\\', c)
	case c == '\r' && beforeNewline:
		return w
	case c == '\n' || c == '\r':
		return append(w, '\\', 'n')
	case c == '\t':
		return append(w, '\\', 't')
	case c >= utf8.RuneSelf:
		return append(w, "\uFFFD"...)
	}
	return append(w, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendEscaped appends s as html/template prints a plain string in text and
// quoted attributes.
func appendEscaped(w, s []byte) []byte {
	start := 0
	for i, c := range s {
		var entity string
		switch c {
		case 0:
			entity = "\uFFFD"
		case '"':
			entity = "&#34;"
		case '&':
			entity = "&amp;"
		case '\'':
			entity = "&#39;"
		case '+':
			entity = "&#43;"
		case '<':
			entity = "&lt;"
		case '>':
			entity = "&gt;"
		default:
			continue
		}
		w = append(w, s[start:i]...)
		w = append(w, entity...)
		start = i + 1
	}
	return append(w, s[start:]...)
}
