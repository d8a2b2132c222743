package stream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Offset is a place in a stream: Pos bytes lie before it, those of earlier
// editions and those that were trimmed included. Offsets grow, and their text
// sorts as they do.
type Offset struct {
	Edition, Pos int64
}

// Places that every stream has. They are no real offsets: reading answers with one.
var (
	Start = Offset{Edition: -1, Pos: -1} //nolint:gochecknoglobals // before the first byte that there is; a constant that Go cannot spell
	Now   = Offset{Edition: -1, Pos: -2} //nolint:gochecknoglobals // behind the last byte at the time; likewise
)

// width is how many digits either number has in an offset's text: all that a
// number which Redis's scripts hold exactly can have.
const width = 16

// maxPos is the largest number that Redis's scripts hold exactly.
const maxPos = 1 << 53

// String returns the offset as it is written in the protocol.
func (o Offset) String() string {
	switch o {
	case Start:
		return "-1"
	case Now:
		return "now"
	}
	return fmt.Sprintf("%0*d_%0*d", width, o.Edition, width, o.Pos)
}

// ParseOffset reads what String wrote. It takes numbers with fewer digits, too.
func ParseOffset(s string) (Offset, error) {
	switch s {
	case "-1":
		return Start, nil
	case "now":
		return Now, nil
	}
	edition, pos, ok := strings.Cut(s, "_")
	e, errE := number(edition)
	p, errP := number(pos)
	if err := errors.Join(errE, errP); !ok || err != nil {
		return Offset{}, fmt.Errorf("stream: %w: offset", ErrInvalid)
	}
	return Offset{Edition: e, Pos: p}, nil
}

// number reads a number of digits alone.
func number(s string) (int64, error) {
	if s == "" || len(s) > width || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && n > maxPos {
		err = strconv.ErrRange
	}
	return n, err
}
