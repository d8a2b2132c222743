package profile

import (
	"math"
	"time"
)

// calendar counts dates in calendar units: hours, and when there are too many
// of them days, months, years. Its memory is bounded as histogram's is.
type calendar struct {
	unit unit
	bins map[int64]int64
}

type unit uint8

const (
	unitHour unit = iota
	unitDay
	unitMonth
	unitYear
)

// steps are the widths that a result may have, finest first.
var steps = []struct {
	unit  unit
	n     int64
	label string
}{
	{unitHour, 1, "hour"},
	{unitHour, 6, "6 hours"},
	{unitDay, 1, "day"},
	{unitDay, 7, "week"},
	{unitMonth, 1, "month"},
	{unitMonth, 3, "quarter"},
	{unitYear, 1, "year"},
	{unitYear, 2, "2 years"},
	{unitYear, 5, "5 years"},
	{unitYear, 10, "decade"},
	{unitYear, 50, "50 years"},
	{unitYear, 100, "century"},
	{unitYear, 1000, "millennium"},
}

func (c *calendar) add(seconds float64) {
	if c.bins == nil {
		c.bins = make(map[int64]int64)
	}
	key := int64(math.Floor(seconds / 3600))
	for u := unitHour; u < c.unit; u++ {
		key = coarser(u, key)
	}
	c.bins[key]++
	for len(c.bins) > histogramFine && c.unit < unitYear {
		c.bins = rebin(c.bins, c.unit, c.unit+1, 1)
		c.unit++
	}
}

// coarser turns a key of unit u into one of the next unit: days since 1970,
// months since year 0, years.
func coarser(u unit, key int64) int64 {
	switch u {
	case unitHour:
		return floorDiv(key, 24)
	case unitDay:
		t := time.Unix(key*86400, 0).UTC()
		return int64(t.Year())*12 + int64(t.Month()) - 1
	default:
		return floorDiv(key, 12)
	}
}

// start is the first second of a key.
func start(u unit, key int64) float64 {
	switch u {
	case unitHour:
		return float64(key) * 3600
	case unitDay:
		return float64(key) * 86400
	case unitMonth:
		return unix(time.Date(int(floorDiv(key, 12)), time.Month(key-floorDiv(key, 12)*12+1), 1, 0, 0, 0, 0, time.UTC))
	default:
		return unix(time.Date(int(key), 1, 1, 0, 0, 0, 0, time.UTC))
	}
}

func rebin(bins map[int64]int64, from, to unit, n int64) map[int64]int64 {
	out := make(map[int64]int64)
	for key, count := range bins {
		for u := from; u < to; u++ {
			key = coarser(u, key)
		}
		out[floorDiv(key, n)] += count
	}
	return out
}

// result merges the bins into at most limit of one calendar step.
func (c *calendar) result(limit int) *Histogram {
	for _, s := range steps {
		if s.unit < c.unit || len(c.bins) == 0 {
			continue
		}
		bins := rebin(c.bins, c.unit, s.unit, s.n)
		low, high := int64(math.MaxInt64), int64(math.MinInt64)
		for key := range bins {
			low, high = min(low, key), max(high, key)
		}
		if high-low >= int64(limit) {
			continue
		}
		out := &Histogram{Start: start(s.unit, low*s.n), Step: s.label, Counts: make([]int64, high-low+1)}
		for key, n := range bins {
			out.Counts[key-low] = n
		}
		return out
	}
	return nil
}
