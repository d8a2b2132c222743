package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as 512KB, 64MB or 2GB (of 1,024 each) or as
// a plain number.
type Size int64

// The units of Size.
const (
	KB Size = 1 << 10
	MB Size = 1 << 20
	GB Size = 1 << 30
)

// UnmarshalText reads the written form.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.ToUpper(strings.TrimSpace(string(b)))
	text = strings.TrimSuffix(strings.Replace(text, "IB", "B", 1), "B")
	unit := Size(1)
	for suffix, u := range map[string]Size{"K": KB, "M": MB, "G": GB} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = rest, u
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return fmt.Errorf("%q is no size: write a number with KB, MB or GB, such as 64MB", b)
	}
	*s = Size(n) * unit
	return nil
}

// String returns the shortest exact form.
func (s Size) String() string {
	switch {
	case s != 0 && s%GB == 0:
		return strconv.FormatInt(int64(s/GB), 10) + "GB"
	case s != 0 && s%MB == 0:
		return strconv.FormatInt(int64(s/MB), 10) + "MB"
	case s != 0 && s%KB == 0:
		return strconv.FormatInt(int64(s/KB), 10) + "KB"
	}
	return strconv.FormatInt(int64(s), 10)
}
