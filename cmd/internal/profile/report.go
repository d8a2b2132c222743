package profile

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Report is what a file holds. Its JSON form is bounded by Config.MaxReportBytes.
type Report struct {
	// Rows does not count the header.
	Rows int64 `json:"rows"`
	// Bytes is the size of what was read.
	Bytes int64 `json:"bytes"`
	// Delimiter separates the fields: a comma, a semicolon, a tab or a bar.
	Delimiter string   `json:"delimiter"`
	Columns   []Column `json:"columns"`
}

// Type is what all values of a column are.
type Type string

// The types.
const (
	// TypeInt: whole numbers.
	TypeInt Type = "int"
	// TypeFloat: numbers, not all of them whole.
	TypeFloat Type = "float"
	// TypeBool: true and false, yes and no, or their first letters.
	TypeBool Type = "bool"
	// TypeDate: dates, with or without a time of day.
	TypeDate Type = "date"
	// TypeText: anything else.
	TypeText Type = "text"
	// TypeEmpty: the column has no value at all.
	TypeEmpty Type = "empty"
)

// Column describes a column.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
	// Nulls counts the values that are missing: blank, or, unless the others are
	// texts, NA, N/A, NULL or NaN. Missing has those words, as they are spelt.
	Nulls   int64    `json:"nulls,omitempty"`
	Missing []string `json:"missing,omitempty"`
	// Distinct is the number of different values, nulls left out.
	Distinct int64 `json:"distinct"`
	// DistinctEstimated says that Distinct is a HyperLogLog estimate with a
	// standard error of 0.29 %; up to 4,096 it is exact.
	DistinctEstimated bool `json:"distinct_est,omitempty"`
	// MaxLength is the longest value's length in bytes.
	MaxLength int `json:"max_len,omitempty"`
	// Odd is, for a text column in which at least nine tenths of the values
	// are of one other type, the number of those that are not.
	Odd int64 `json:"odd,omitempty"`
	// Spread is set for numbers and dates.
	Spread *Spread `json:"spread,omitempty"`
	// Histogram is set for numbers and dates.
	Histogram *Histogram `json:"hist,omitempty"`
	// Top lists the most frequent values of a text or bool column. Of a long
	// value it shows the start.
	Top []Value `json:"top,omitempty"`
	// TopEstimated says that the counts in Top may be too low by a thousandth
	// of the rows. Up to 2,000 different values they are exact; a file of few
	// columns has room for more.
	TopEstimated bool `json:"top_est,omitempty"`
}

// quantilePoints are the places of Spread.Quantiles.
var quantilePoints = [5]float64{0.05, 0.25, 0.5, 0.75, 0.95}

// Spread tells how numbers lie; dates are Unix times in seconds.
type Spread struct {
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Mean   float64 `json:"mean"`
	StdDev float64 `json:"sd"`
	// Quantiles are those of 5, 25, 50, 75 and 95 %.
	Quantiles [5]float64 `json:"q"`
	// QuantilesEstimated says that they come from a sketch whose rank error
	// is at most 0.5 % with 99 % confidence.
	QuantilesEstimated bool `json:"q_est,omitempty"`
}

// Median is the 50 % quantile.
func (s *Spread) Median() float64 { return s.Quantiles[2] }

// Histogram counts values in bins. The counts are exact.
type Histogram struct {
	// Start is the lower edge of the first bin; for dates a Unix time.
	Start float64 `json:"start"`
	// Width is a bin's width for numbers, zero for dates.
	Width float64 `json:"width,omitempty"`
	// Step is a bin's width for dates: "month", "5 years".
	Step   string  `json:"step,omitempty"`
	Counts []int64 `json:"counts"`
}

// Value is a frequent value.
type Value struct {
	Text  string `json:"v"`
	Count int64  `json:"n"`
}

// detail is how much of each column a report tells.
type detail struct{ name, bins, top, value int }

// details are tried in this order until the report fits.
var details = []detail{
	{name: 64, bins: 30, top: 8, value: 48},
	{name: 48, bins: 20, top: 5, value: 32},
	{name: 32, bins: 12, top: 3, value: 24},
	{name: 24, bins: 8, top: 1, value: 16},
	{name: 16, bins: 4, top: 0, value: 0},
}

// fit writes the report with as much detail as maxBytes allows.
func (r *Report) fit(columns []*column, maxBytes int) error {
	for _, d := range details {
		r.Columns = make([]Column, len(columns))
		for i, c := range columns {
			r.Columns[i] = c.report(d)
		}
		b, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("profile: write report: %w", err)
		}
		if len(b) <= maxBytes {
			return nil
		}
	}
	return fault(CodeColumns, 1, 1, "the report on %d columns would be larger than %d bytes", len(columns), maxBytes)
}

// cut shortens s to n bytes at most, on a character's border, and marks it.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	if n <= len(mark) {
		return ""
	}
	i := n - len(mark)
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i] + mark
}
