package profile

import (
	"cmp"
	"maps"
	"slices"
	"unicode/utf8"
)

const (
	// topMemory is what the counted values of all columns may take together.
	// Each column has at least topLeast of it, room for some 3,000 values.
	topMemory = 8 << 20
	topLeast  = 384 << 10
	// topEntry is what a counted value takes beside its text.
	topEntry = 88
	// topText is how much of a value is kept. Longer values count by their
	// hash and show their start.
	topText = 64
)

// topKey is a value: its text, or its start and the hash of all of it.
type topKey struct {
	text string
	hash uint64
}

// top counts the most frequent values in bounded memory (Misra and Gries, in
// batches). The counts are exact until the values take more than limit bytes.
// Then the median count is taken off all of them and those at zero leave. A
// reported count is then too low by at most lost, which is less than a
// thousandth of the rows: a column has room for more than 2,000 values, and
// what one of the upper half loses, each of them loses.
type top struct {
	counts map[topKey]*int64
	limit  int
	bytes  int
	lost   int64
}

// newTop returns a counter with its share of the memory of all columns.
func newTop(columns int) top {
	return top{counts: make(map[topKey]*int64), limit: max(topMemory/columns, topLeast)}
}

func (t *top) add(b []byte) { t.addTimes(b, 1) }

// addTimes counts a value that was seen several times.
func (t *top) addTimes(b []byte, times int64) {
	var sum uint64
	if len(b) > topText {
		end := topText
		for !utf8.RuneStart(b[end]) {
			end--
		}
		b, sum = b[:end], hash(b)
	}
	if n := t.counts[topKey{string(b), sum}]; n != nil {
		*n += times
		return
	}
	size := len(b) + topEntry
	if t.bytes+size > t.limit {
		t.shrink()
	}
	t.counts[topKey{string(b), sum}] = &times
	t.bytes += size
}

func (t *top) shrink() {
	counts := make([]int64, 0, len(t.counts))
	for _, n := range t.counts {
		counts = append(counts, *n)
	}
	slices.Sort(counts)
	median := counts[len(counts)/2]
	maps.DeleteFunc(t.counts, func(k topKey, n *int64) bool {
		*n -= median
		if *n > 0 {
			return false
		}
		t.bytes -= len(k.text) + topEntry
		return true
	})
	t.lost += median
}

// most returns up to n values, the most frequent first. Values that may have
// been seen once only are left out when the counts are no longer exact.
func (t *top) most(n int) []Value {
	all := make([]Value, 0, len(t.counts))
	for k, c := range t.counts {
		if *c > t.lost/2 {
			all = append(all, Value{Text: k.text, Count: *c})
		}
	}
	slices.SortFunc(all, func(a, b Value) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return slices.Clip(all[:min(n, len(all))])
}
