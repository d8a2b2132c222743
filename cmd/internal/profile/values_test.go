package profile_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lastmile/cmd/internal/profile"
)

// TestRightValues: what a column of few values is said to be, each a value that was
// once shown wrongly or its neighbour.
func TestRightValues(t *testing.T) {
	t.Parallel()
	thousand := make([]string, 1000)
	for i := range thousand {
		thousand[i] = fmt.Sprintf("1000000000.%03d", i)
	}
	for _, tt := range []struct {
		name                 string
		values               []string
		mean, deviation      float64
		first, median, third float64
		start, width         float64
		nulls                int64
		missing              []string
	}{
		{"the middle of two", []string{"1", "2"}, 1.5, math.Sqrt(0.5), 1.25, 1.5, 1.75, 1, 1, 0, nil},
		{"of four", []string{"4", "1", "3", "2"}, 2.5, math.Sqrt(5.0 / 3), 1.75, 2.5, 3.25, 1, 1, 0, nil},
		{"one", []string{"7"}, 7, 0, 7, 7, 7, 7, 1, 0, nil},
		{"whole numbers", []string{"0", "1", "2"}, 1, 1, 0.5, 1, 1.5, 0, 1, 0, nil},
		{"whole numbers, once decimals", []string{"0", "1", "2.5"}, 3.5 / 3, math.Sqrt(19.0 / 12), 0.5, 1, 1.75, 0, 0.1, 0, nil},
		{"beyond the range", []string{"1e308", "-1e308", "1e308"}, 1e308 / 3, 1e308 * (2 / math.Sqrt(3)), 0, 1e308, 1e308, -1e308, 0, 0, nil},
		{"at the end of the range", []string{"1.7e308", "-1.7e308"}, 0, math.MaxFloat64, -0.85e308, 0, 0.85e308, -math.MaxFloat64, 0, 0, nil},
		{"less than nothing", []string{"-0.0", "0.0"}, 0, 0, 0, 0, 0, 0, 0, 0, nil},
		{"near each other, far from zero", thousand, 1000000000.4995, 0.28881943609574939, 1000000000.24975, 1000000000.4995, 1000000000.74925, 1000000000, 0.05, 0, nil},
		{"missing words", []string{"1", "NA", "", "2", "null", "n/a"}, 1.5, math.Sqrt(0.5), 1.25, 1.5, 1.75, 1, 1, 4, []string{"NA", "n/a", "null"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustRead(t, "x,y\n"+strings.Join(tt.values, ",1\n")+",1\n").Columns[0]
			s, h := c.Spread, c.Histogram
			if s == nil || h == nil {
				t.Fatalf("it is %s", c.Type)
			}
			for _, v := range []struct {
				what      string
				got, want float64
			}{
				{"mean", s.Mean, tt.mean},
				{"deviation", s.StdDev, tt.deviation},
				{"first quartile", s.Quantiles[1], tt.first},
				{"median", s.Median(), tt.median},
				{"third quartile", s.Quantiles[3], tt.third},
				{"histogram's start", h.Start, tt.start},
			} {
				if math.Abs(v.got-v.want) > max(1e-11, math.Abs(v.want)*1e-15) || math.Signbit(v.got) && v.got == 0 {
					t.Errorf("%s is %v, want %v", v.what, v.got, v.want)
				}
			}
			if tt.width != 0 && math.Abs(h.Width-tt.width) > 1e-9 {
				t.Errorf("bins of %v, want %v", h.Width, tt.width)
			}
			if c.Nulls != tt.nulls || !slices.Equal(c.Missing, tt.missing) {
				t.Errorf("%d are missing by %q, want %d by %q", c.Nulls, c.Missing, tt.nulls, tt.missing)
			}
			var n int64
			for _, k := range h.Counts {
				n += k
			}
			if n != int64(len(tt.values))-tt.nulls || h.Start > s.Min {
				t.Errorf("the histogram begins at %v and counts %d values, the least is %v", h.Start, n, s.Min)
			}
		})
	}
}

// TestWordsAmongTexts: what stands for a missing value among numbers is a value among
// texts.
func TestWordsAmongTexts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		values   []string
		typ      profile.Type
		nulls    int64
		distinct int64
	}{
		{"countries", []string{"NA", "DE", "NO", "NA"}, profile.TypeText, 0, 3},
		{"surnames", []string{"Null", "Smith", "Na", "True"}, profile.TypeText, 0, 4},
		{"surnames, one blank", []string{"Null", "Smith", "", "Nan"}, profile.TypeText, 1, 3},
		{"numbers with one that is odd", append(strings.Fields(strings.Repeat("1 ", 20)), "oops", "NA"), profile.TypeText, 1, 2},
		{"nothing else", []string{"NA", "NULL"}, profile.TypeEmpty, 2, 0},
		{"truth", []string{"true", "NA", "false"}, profile.TypeBool, 1, 2},
		{"dates", []string{"2024-01-01", "N/A"}, profile.TypeDate, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustRead(t, "x,y\n"+strings.Join(tt.values, ",1\n")+",1\n").Columns[0]
			if c.Type != tt.typ || c.Nulls != tt.nulls || c.Distinct != tt.distinct {
				t.Errorf("it is %s with %d missing and %d different, want %s, %d and %d", c.Type, c.Nulls, c.Distinct, tt.typ, tt.nulls, tt.distinct)
			}
			if tt.name == "countries" && (len(c.Top) == 0 || c.Top[0] != profile.Value{Text: "NA", Count: 2}) {
				t.Errorf("the most frequent are %v", c.Top)
			}
		})
	}
}
