package profile

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// sketchSize is the size of the top compactor. It keeps the rank error under
// 0.5 % of the number of values, with 99 % confidence: a reported median is a
// value between the 49.5 % and the 50.5 % quantile. The tests measure it.
const sketchSize = 1024

// quantiles is a KLL sketch (Karnin, Lang, Liberty 2016): levels of buffers, in
// which a value of level i stands for 2^i values. A full buffer is sorted, and
// every other value moves one level up. Until the first compaction it is exact.
// It holds about 3*sketchSize numbers whatever the length of the stream.
type quantiles struct {
	levels [][]float64
	size   int
	max    int
	rng    *rand.Rand
	exact  bool
}

// newQuantiles returns an empty sketch. The seed is fixed: a file profiled
// twice gives one report.
func newQuantiles() *quantiles {
	q := &quantiles{rng: rand.New(rand.NewPCG(1, 2)), exact: true} //nolint:gosec // sampling, not secrets
	q.grow()
	return q
}

func (q *quantiles) grow() {
	q.levels = append(q.levels, nil)
	q.max = 0
	for i := range q.levels {
		q.max += q.capacity(i)
	}
}

// capacity of a level: the top has sketchSize, each lower one two thirds of
// the one above it.
func (q *quantiles) capacity(level int) int {
	c := float64(sketchSize)
	for range len(q.levels) - 1 - level {
		c *= 2.0 / 3
	}
	return max(int(c)+1, 8)
}

func (q *quantiles) add(v float64) {
	q.levels[0] = append(q.levels[0], v)
	q.size++
	if q.size >= q.max {
		q.compress()
	}
}

func (q *quantiles) compress() {
	q.exact = false
	for i := range q.levels {
		if len(q.levels[i]) < q.capacity(i) {
			continue
		}
		if i+1 == len(q.levels) {
			q.grow()
		}
		full := q.levels[i]
		slices.Sort(full)
		for k := q.rng.IntN(2); k < len(full); k += 2 {
			q.levels[i+1] = append(q.levels[i+1], full[k])
		}
		q.levels[i] = full[:0]
		q.size = 0
		for _, l := range q.levels {
			q.size += len(l)
		}
		return
	}
}

// at returns the values at the given quantiles, which must ascend in [0, 1]. While
// nothing was compacted one that lies between two values is on the line between them,
// as spreadsheets, R and pandas have it.
func (q *quantiles) at(phis ...float64) []float64 {
	if q.exact {
		return q.between(phis)
	}
	type weighted struct {
		v float64
		w uint64
	}
	var all []weighted
	var total uint64
	for i, l := range q.levels {
		for _, v := range l {
			all = append(all, weighted{v, 1 << i})
			total += 1 << i
		}
	}
	slices.SortFunc(all, func(a, b weighted) int { return cmp.Compare(a.v, b.v) })
	out := make([]float64, 0, len(phis))
	var seen uint64
	i := 0
	for _, phi := range phis {
		rank := uint64(phi * float64(total))
		for i < len(all)-1 && seen+all[i].w <= rank {
			seen += all[i].w
			i++
		}
		if len(all) > 0 {
			out = append(out, all[i].v)
		}
	}
	return out
}

// between is at for values that are all there.
func (q *quantiles) between(phis []float64) []float64 {
	all := slices.Concat(q.levels...)
	slices.Sort(all)
	out := make([]float64, 0, len(phis))
	for _, phi := range phis {
		if len(all) == 0 {
			break
		}
		place := phi * float64(len(all)-1)
		i := int(place)
		v := all[i]
		if part := place - float64(i); part > 0 && all[i+1] != v {
			v = v*(1-part) + all[i+1]*part // no difference, which may be out of range
		}
		out = append(out, v)
	}
	return out
}
