package profile

import (
	"math"
	"strconv"
)

const (
	histogramWarm = 512  // values seen before the width of a bin is chosen
	histogramFine = 4096 // fine bins kept at a time
	histogramFar  = 1 << 52
)

// histogram counts numbers in fine bins of a width that is a power of ten,
// made ten times coarser when there are too many of them, and merges them at
// the end into a few bins of a round width. The counts are exact; only
// non-empty fine bins take memory, at most histogramFine of them.
type histogram struct {
	warm     []float64
	exp      int // a fine bin is 10^exp wide
	bins     map[int64]int64
	min, max float64
}

func (h *histogram) add(v float64) {
	if h.bins == nil {
		h.warm = append(h.warm, v)
		if len(h.warm) == histogramWarm {
			h.settle()
		}
		return
	}
	h.count(v)
}

// settle chooses the first width from what was seen and counts it.
func (h *histogram) settle() {
	h.min, h.max = math.Inf(1), math.Inf(-1)
	for _, v := range h.warm {
		h.min, h.max = min(h.min, v), max(h.max, v)
	}
	scale := h.max - h.min
	if scale == 0 || math.IsInf(scale, 0) {
		scale = max(math.Abs(h.min), math.Abs(h.max))
	}
	if scale > 0 {
		h.exp = max(int(math.Floor(math.Log10(scale)))-3, -300)
	}
	h.bins = make(map[int64]int64)
	for _, v := range h.warm {
		h.count(v)
	}
	h.warm = nil
}

func (h *histogram) count(v float64) {
	h.min, h.max = min(h.min, v), max(h.max, v)
	for math.Abs(v)/pow10(h.exp) > histogramFar {
		h.coarsen()
	}
	h.bins[binOf(v, h.exp)]++
	for len(h.bins) > histogramFine {
		h.coarsen()
	}
}

func (h *histogram) coarsen() {
	h.exp++
	coarse := make(map[int64]int64, len(h.bins)/10)
	for i, n := range h.bins {
		coarse[floorDiv(i, 10)] += n
	}
	h.bins = coarse
}

// result merges the fine bins into at most limit bins of equal, round width. Whole
// numbers have no bins between them.
func (h *histogram) result(limit int, whole bool) *Histogram {
	if h.bins == nil {
		if len(h.warm) == 0 {
			return nil
		}
		h.settle()
	}
	least := int64(1)
	for exp := h.exp; whole && exp < 0; exp++ {
		least *= 10
	}
	for factor := least; ; factor = nextRound(factor) {
		low, high := int64(math.MaxInt64), int64(math.MinInt64)
		for i := range h.bins {
			b := floorDiv(i, factor)
			low, high = min(low, b), max(high, b)
		}
		if high-low >= int64(limit) || high < low {
			continue
		}
		out := &Histogram{Start: decimal(low*factor, h.exp), Width: decimal(factor, h.exp), Counts: make([]int64, high-low+1)}
		for i, n := range h.bins {
			out.Counts[floorDiv(i, factor)-low] += n
		}
		return out
	}
}

// nextRound goes from one round multiple of a fine bin to the next: 1, 2, 5, 10,
// 20, 50 ...
func nextRound(factor int64) int64 {
	lead := factor
	for lead%10 == 0 {
		lead /= 10
	}
	if lead == 2 {
		return factor / 2 * 5
	}
	return factor * 2
}

// binOf is floor(v / 10^exp), with the tolerance of a few of the steps that numbers
// of that size have, so that 0.29 falls into the bin of 0.29 and not of 0.28.
func binOf(v float64, exp int) int64 {
	q := v / pow10(exp)
	if exp < 0 {
		q = v * pow10(-exp)
	}
	return int64(math.Floor(q + math.Abs(q)*0x1p-50))
}

func pow10(exp int) float64 { return math.Pow(10, float64(exp)) }

// decimal returns n * 10^exp, which multiplying would miss by a hair, or the number
// nearest to it that there is.
func decimal(n int64, exp int) float64 {
	v, _ := strconv.ParseFloat(strconv.FormatInt(n, 10)+"e"+strconv.Itoa(exp), 64) // fails beyond the range alone
	return min(max(v, -math.MaxFloat64), math.MaxFloat64)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
