package profile

import (
	"cmp"
	"maps"
	"slices"
)

const (
	topTracked = 1024 // values that are counted at a time
	topBytes   = 64   // longer values are not counted: they hardly repeat
)

// top counts the most frequent values in bounded memory (Misra and Gries, in
// batches): when twice topTracked values are counted, the median count is taken
// off all of them and who falls to zero leaves. A reported count is then too
// low by at most lost, which is at most rows/topTracked.
type top struct {
	counts map[string]*int64
	lost   int64
}

func (t *top) add(b []byte) {
	if len(b) > topBytes {
		return
	}
	if n := t.counts[string(b)]; n != nil {
		*n++
		return
	}
	if t.counts == nil {
		t.counts = make(map[string]*int64)
	}
	if len(t.counts) >= 2*topTracked {
		t.shrink()
	}
	one := int64(1)
	t.counts[string(b)] = &one
}

func (t *top) shrink() {
	counts := make([]int64, 0, len(t.counts))
	for _, n := range t.counts {
		counts = append(counts, *n)
	}
	slices.Sort(counts)
	median := counts[topTracked]
	maps.DeleteFunc(t.counts, func(_ string, n *int64) bool {
		*n -= median
		return *n <= 0
	})
	t.lost += median
}

// most returns up to n values, the most frequent first. Values that may have
// been seen once only are left out when the counts are no longer exact.
func (t *top) most(n int) []Value {
	all := make([]Value, 0, len(t.counts))
	for v, c := range t.counts {
		if *c > t.lost/2 {
			all = append(all, Value{Text: v, Count: *c})
		}
	}
	slices.SortFunc(all, func(a, b Value) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return slices.Clip(all[:min(n, len(all))])
}
