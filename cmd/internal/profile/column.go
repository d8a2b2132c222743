package profile

import (
	"bytes"
	"math"
	"slices"
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

	// words are those that stand for a missing value, as they are spelt: in a column
	// of texts they are values.
	words map[string]int64

	moments   moments // of numbers and dates
	min, max  float64
	quantiles *quantiles
	numbers   histogram
	dates     calendar
}

// newColumn returns one of several columns, which share the memory for frequent values.
func newColumn(name string, columns int, decimalComma bool) *column {
	return &column{name: name, words: map[string]int64{}, top: newTop(columns), parser: parser{decimalComma: decimalComma}, min: math.Inf(1), max: math.Inf(-1), quantiles: newQuantiles()}
}

func (c *column) add(b []byte) {
	b = bytes.TrimSpace(b)
	if isNull(b) {
		c.nulls++
		if len(b) > 0 {
			c.words[string(b)]++
		}
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
	v += 0 // there is no -0
	c.moments.add(v)
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

// settle decides what the words for missing values are, once all values are seen.
// Among texts "NA" is Namibia, and "Null" a name, unless nearly all other values are
// of another type.
func (c *column) settle() {
	if c.kind() != TypeText || oddOnesOut(c.counts) > 0 {
		return
	}
	for word, n := range c.words {
		c.nulls -= n
		c.counts[kindText] += n
		c.longest = max(c.longest, len(word))
		c.uniq.add(hash([]byte(word)))
		c.top.addTimes([]byte(word), n)
	}
	clear(c.words)
}

// report writes the statistics down with the given amount of detail.
func (c *column) report(d detail) Column {
	c.settle()
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
	for word := range c.words {
		out.Missing = append(out.Missing, word)
	}
	slices.Sort(out.Missing)
	if out.Type == TypeText {
		out.Odd = oddOnesOut(c.counts)
	}
	return out
}

func (c *column) spread(out *Column, d detail) {
	s := &Spread{Min: c.min, Max: c.max, QuantilesEstimated: !c.quantiles.exact}
	s.Mean, s.StdDev = c.moments.result()
	copy(s.Quantiles[:], c.quantiles.at(quantilePoints[:]...))
	if out.Type == TypeDate {
		out.Histogram = c.dates.result(d.bins)
	} else {
		out.Histogram = c.numbers.result(d.bins, out.Type == TypeInt)
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
