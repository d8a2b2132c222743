package profile

import (
	"bytes"
	"math"
)

// column gathers one column's statistics in bounded memory.
type column struct {
	name    string
	parser  parser
	nulls   int64
	counts  [kinds]int64
	longest int
	uniq    distinct
	top     top

	n         int64 // numbers and dates, for mean and deviation
	mean, m2  float64
	min, max  float64
	quantiles *quantiles
	numbers   histogram
	dates     calendar
}

// newColumn returns one of several columns, which share the memory for frequent values.
func newColumn(name string, columns int, decimalComma bool) *column {
	return &column{name: name, top: newTop(columns), parser: parser{decimalComma: decimalComma}, min: math.Inf(1), max: math.Inf(-1), quantiles: newQuantiles()}
}

func (c *column) add(b []byte) {
	b = bytes.TrimSpace(b)
	if isNull(b) {
		c.nulls++
		return
	}
	c.longest = max(c.longest, len(b))
	c.uniq.add(hash(b))
	c.top.add(b)
	k, v := c.parser.parse(b)
	c.counts[k]++
	if c.counts[kindText] > 0 || k == kindBool {
		return // a column with a text in it is text: nobody will ask for its mean
	}
	c.n++
	delta := v - c.mean
	c.mean += delta / float64(c.n)
	c.m2 += delta * (v - c.mean)
	c.min, c.max = min(c.min, v), max(c.max, v)
	c.quantiles.add(v)
	if k == kindDate {
		c.dates.add(v)
	} else {
		c.numbers.add(v)
	}
}

// kind decides what the column is: a type that all values have, or text.
func (c *column) kind() Type {
	switch ints, floats := c.counts[kindInt], c.counts[kindFloat]; c.counts[kindInt] + c.counts[kindFloat] + c.counts[kindBool] + c.counts[kindDate] + c.counts[kindText] {
	case 0:
		return TypeEmpty
	case ints:
		return TypeInt
	case ints + floats:
		return TypeFloat
	case c.counts[kindBool]:
		return TypeBool
	case c.counts[kindDate]:
		return TypeDate
	}
	return TypeText
}

// report writes the statistics down with the given amount of detail.
func (c *column) report(d detail) Column {
	out := Column{Name: cut(c.name, d.name), Type: c.kind(), Nulls: c.nulls, MaxLength: c.longest}
	var exact bool
	out.Distinct, exact = c.uniq.count()
	out.DistinctEstimated = !exact
	switch out.Type {
	case TypeInt, TypeFloat, TypeDate:
		c.spread(&out, d)
	case TypeText, TypeBool:
		if out.Top = c.top.most(d.top); len(out.Top) > 0 && out.Top[0].Count == 1 && out.Distinct > int64(len(out.Top)) {
			out.Top = nil // all different: a ranking would say nothing
		}
		for i := range out.Top {
			out.Top[i].Text = cut(out.Top[i].Text, d.value)
		}
		out.TopEstimated = c.top.lost > 0 && len(out.Top) > 0
	case TypeEmpty:
	}
	if out.Type == TypeText {
		out.Odd = oddOnesOut(c.counts)
	}
	return out
}

func (c *column) spread(out *Column, d detail) {
	s := &Spread{Min: c.min, Max: c.max, Mean: c.mean, QuantilesEstimated: !c.quantiles.exact}
	if c.n > 1 {
		s.StdDev = math.Sqrt(c.m2 / float64(c.n-1))
	}
	copy(s.Quantiles[:], c.quantiles.at(quantilePoints[:]...))
	for _, v := range []*float64{&s.Mean, &s.StdDev} {
		if math.IsInf(*v, 0) || math.IsNaN(*v) {
			*v = 0 // out of float64's range; JSON could not carry it
		}
	}
	if out.Type == TypeDate {
		out.Histogram = c.dates.result(d.bins)
	} else {
		out.Histogram = c.numbers.result(d.bins)
	}
	out.Spread = s
}

// oddOnesOut returns how many values keep a column from being of the type that
// at least nine tenths of its values have, or zero.
func oddOnesOut(counts [kinds]int64) int64 {
	var total, most int64
	for _, n := range counts {
		total += n
	}
	for k, n := range counts {
		if kind(k) == kindInt || kind(k) == kindFloat {
			n = counts[kindInt] + counts[kindFloat]
		}
		if kind(k) != kindText {
			most = max(most, n)
		}
	}
	if most*10 < total*9 {
		return 0
	}
	return total - most
}
