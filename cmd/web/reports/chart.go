package reports

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/cmd/internal/profile"
	"lastmile/cmd/internal/profilejob"
	"lastmile/cmd/web/ui"
)

// column is a column of a report, ready for the page.
type column struct {
	Name, Type, Note       string
	Missing, Distinct      string
	Min, Median, Mean, Max figure
	Path, Label, Low, High string
	Tops                   []topValue
}

// figure is a number with few digits, and with all it has where those are more.
type figure struct{ Text, Full string }

// topValue is a frequent value with the width of its bar in percent.
type topValue struct {
	Text, Count string
	Width       string
}

// funcs are what the page's template needs beyond ui.Funcs.
func funcs() template.FuncMap {
	return template.FuncMap{"columns": columns, "delimiter": delimiter, "missing": missing, "row": shown}
}

// shown is the row of the report that is open.
func shown(s State) Row {
	if r := s.row(s.Open); r != nil {
		return *r
	}
	return Row{Name: "Report"}
}

func columns(r *profilejob.Report) []column {
	out := make([]column, len(r.Columns))
	for i, c := range r.Columns {
		out[i] = describe(c, r.Rows)
	}
	return out
}

// missing is the share of values that are not there, over all columns.
func missing(r *profilejob.Report) string {
	var nulls int64
	for _, c := range r.Columns {
		nulls += c.Nulls
	}
	return percent(nulls, r.Rows*int64(len(r.Columns)))
}

func delimiter(d string) string {
	names := map[string]string{",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
	return cmp.Or(names[d], d)
}

func percent(n, of int64) string {
	switch share := float64(n) / float64(max(of, 1)); {
	case n == 0:
		return "none"
	case share < 0.001:
		return "< 0.1 %"
	default:
		return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
	}
}

func describe(c profile.Column, rows int64) column {
	v := column{
		Name: c.Name, Type: typeNames[c.Type], Missing: percent(c.Nulls, rows),
		Distinct: about(c.DistinctEstimated) + ui.Count(c.Distinct),
	}
	switch {
	case c.Odd == 1:
		v.Note = "1 value is of another type than the rest"
	case c.Odd > 0:
		v.Note = ui.Count(c.Odd) + " values are of another type than the rest"
	case len(c.Missing) > 0:
		v.Note = strings.Join(c.Missing, ", ") + " taken for missing"
	case c.Type == profile.TypeText && c.Distinct == rows-c.Nulls && rows > 1:
		v.Note = "every value is different"
	}
	if c.Spread != nil {
		v.spread(c)
	}
	if h := c.Histogram; h != nil {
		v.Path, v.Label = bars(h.Counts), label(c)
		v.Low, v.High = v.Min.Text, v.Max.Text
	}
	for _, t := range c.Top {
		v.Tops = append(v.Tops, topValue{
			Text: t.Text, Count: about(c.TopEstimated) + ui.Count(t.Count),
			Width: strconv.FormatFloat(100*float64(t.Count)/float64(c.Top[0].Count), 'f', 1, 64),
		})
	}
	v.Tops = v.Tops[:min(len(v.Tops), 5)]
	return v
}

var typeNames = map[profile.Type]string{
	profile.TypeInt: "whole number", profile.TypeFloat: "number", profile.TypeBool: "yes or no",
	profile.TypeDate: "date", profile.TypeText: "text", profile.TypeEmpty: "empty",
}

// about marks an estimate.
func about(estimated bool) string {
	if estimated {
		return "≈ "
	}
	return ""
}

func (v *column) spread(c profile.Column) {
	s := c.Spread
	if c.Type == profile.TypeDate {
		v.Min, v.Max, v.Median = figure{Text: day(s.Min)}, figure{Text: day(s.Max)}, figure{Text: day(s.Median())}
		return
	}
	// The least and the most are values of the file: they stand there as they are.
	v.Min, v.Max = figure{Text: digits(s.Min)}, figure{Text: digits(s.Max)}
	v.Median, v.Mean = short(s.Median()), short(s.Mean)
	if v.Median.Text == ui.Number(s.Min) && s.Min != s.Max && v.Median.Text == ui.Number(s.Max) {
		// All of them are the same in four digits.
		v.Median, v.Mean = figure{Text: v.Median.Full}, figure{Text: v.Mean.Full}
	}
}

// short writes a number with few digits.
func short(v float64) figure {
	f := figure{ui.Number(v), digits(v)}
	if f.Full == f.Text {
		f.Full = ""
	}
	return f
}

// digits writes all digits that a number has.
func digits(v float64) string {
	abs := math.Abs(v)
	if abs >= 1e15 || abs < 1e-4 && abs > 0 {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	whole, part, broken := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil { // below 1e15 it is none
		return text
	}
	if whole = sign + ui.Count(n); broken {
		return whole + "." + part
	}
	return whole
}

// day writes a Unix time, with the time of day when there is one.
func day(seconds float64) string {
	t := time.UnixMilli(int64(seconds * 1000)).UTC()
	if t.Truncate(24 * time.Hour).Equal(t) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04")
}

// The chart's own units.
const (
	chartWidth  = 100.0
	chartHeight = 30.0
)

// bars draws a histogram's bars as one SVG path. Bins that are not empty are
// never lower than a hair, so that outliers stay visible.
func bars(counts []int64) string {
	most := slices.Max(counts)
	step := chartWidth / float64(len(counts))
	gap := min(step*0.12, 0.8)
	var b strings.Builder
	for i, n := range counts {
		if n == 0 {
			continue
		}
		h := max(chartHeight*float64(n)/float64(most), 0.7)
		fmt.Fprintf(&b, "M%.2f %.0fv-%.2fh%.2fv%.2fz", float64(i)*step+gap/2, chartHeight, h, step-gap, h)
	}
	return b.String()
}

// label tells the chart to who cannot see it.
func label(c profile.Column) string {
	h := c.Histogram
	most := 0
	for i, n := range h.Counts {
		if n > h.Counts[most] {
			most = i
		}
	}
	if h.Step != "" {
		return fmt.Sprintf("Histogram of %s in %d bins of one %s; the fullest holds %s values.", c.Name, len(h.Counts), h.Step, ui.Count(h.Counts[most]))
	}
	low := h.Start + float64(most)*h.Width
	return fmt.Sprintf("Histogram of %s in %d bins; the fullest, from %s to %s, holds %s values.",
		c.Name, len(h.Counts), ui.Number(low), ui.Number(low+h.Width), ui.Count(h.Counts[most]))
}
