package profile

import (
	"bytes"
	"strconv"
	"time"
)

// kind is what one value looks like.
type kind uint8

const (
	kindText kind = iota
	kindInt
	kindFloat
	kindBool
	kindDate
	kinds // the number of kinds
)

// isNull tells whether a value stands for "nothing": it is blank, or one of
// NA, N/A, NULL and NaN in any case.
func isNull(b []byte) bool {
	switch len(b) {
	case 0:
		return true
	case 2:
		return bytes.EqualFold(b, []byte("na"))
	case 3:
		return bytes.EqualFold(b, []byte("n/a")) || bytes.EqualFold(b, []byte("nan"))
	case 4:
		return bytes.EqualFold(b, []byte("null"))
	}
	return false
}

// parser recognises values. It is not safe for concurrent use.
type parser struct {
	decimalComma bool // fields are separated by something else, so 1,5 is a number
	layout       int  // the date layout that matched last
	scratch      []byte
}

// parse returns the kind of a value and its number: itself, or for a date the
// Unix time in seconds.
func (p *parser) parse(b []byte) (kind, float64) {
	switch c := b[0]; {
	case c >= '0' && c <= '9', c == '-', c == '+', c == '.':
		if k, v, ok := p.number(b); ok {
			return k, v
		}
		if v, ok := p.date(b); ok {
			return kindDate, v
		}
	case len(b) <= 5 && isBool(b):
		return kindBool, 0
	}
	return kindText, 0
}

func isBool(b []byte) bool {
	for _, w := range [...]string{"true", "false", "yes", "no", "t", "f", "y", "n"} {
		if len(b) == len(w) && bytes.EqualFold(b, []byte(w)) {
			return true
		}
	}
	return false
}

// number reads an integer or a decimal number. A number with a leading zero
// (00501) is an identifier, and so is one of more than 25 digits: both are
// text.
func (p *parser) number(b []byte) (kind, float64, bool) {
	digits := b
	if b[0] == '-' || b[0] == '+' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 25 {
		return 0, 0, false
	}
	whole, comma := true, -1
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
		case c == ',' && p.decimalComma && comma < 0:
			whole, comma = false, i
		case c == '.', c == 'e', c == 'E', (c == '-' || c == '+') && i > 0:
			whole = false
		default:
			return 0, 0, false
		}
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return 0, 0, false
	}
	if comma >= 0 {
		p.scratch = append(p.scratch[:0], b...)
		p.scratch[len(b)-len(digits)+comma] = '.'
		b = p.scratch
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, 0, false
	}
	if whole {
		return kindInt, v, true
	}
	return kindFloat, v, true
}

// layouts are the dates that are understood, by the characters at the fifth
// and eighth place or the separator: years first, the German form and the
// American one. 25/12/2020 is text: which of two readings holds cannot be
// known from a value alone.
var layouts = []string{
	time.DateOnly, "2006-01-02T15:04:05", time.DateTime, time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04",
	"2006-01-02 15:04:05Z07:00", "2006/01/02", "2006/01/02 15:04:05", "2006/01/02 15:04", "2.1.2006", "1/2/2006", "1/2/2006 15:04",
}

func (p *parser) date(b []byte) (float64, bool) {
	if len(b) < 8 || len(b) > 35 {
		return 0, false
	}
	// Only what starts as 2006-, 2006/, 1/ or 02. costs the attempts below.
	switch sep := bytes.IndexAny(b, "-/."); {
	case sep == 4 && b[sep] != '.', (sep == 1 || sep == 2) && b[sep] != '-':
	default:
		return 0, false
	}
	s := string(b)
	if t, err := time.Parse(layouts[p.layout], s); err == nil {
		return unix(t), true
	}
	for i, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			p.layout = i
			return unix(t), true
		}
	}
	return 0, false
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
