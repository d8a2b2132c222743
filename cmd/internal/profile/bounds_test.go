package profile_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lastmile/cmd/internal/profile"
)

// generator is an endless file without a disk: an id, a skewed number, a date,
// a category and a long text that never repeats.
type generator struct {
	rows, done int64
	rng        *rand.Rand
	buf        []byte
	rest       []byte
	filler     string
}

func (g *generator) Read(b []byte) (int, error) {
	if len(g.rest) == 0 {
		if g.rng == nil {
			g.rng = rand.New(rand.NewPCG(7, 7))
			g.filler = strings.Repeat("filler ", 100)
			g.buf = append(g.buf[:0], "id,value,day,kind,note\n"...)
		} else {
			if g.done >= g.rows {
				return 0, io.EOF
			}
			g.buf = g.buf[:0]
		}
		for len(g.buf) < 32<<10 && g.done < g.rows {
			g.done++
			g.buf = strconv.AppendInt(g.buf, g.done, 10)
			g.buf = append(g.buf, ',')
			g.buf = strconv.AppendFloat(g.buf, math.Exp(g.rng.NormFloat64()*3), 'f', 4, 64)
			g.buf = fmt.Appendf(g.buf, ",20%02d-%02d-%02d,kind %d,\"note, %d %s\"\n",
				g.done%25, 1+g.done%12, 1+g.done%28, g.rng.IntN(9), g.done, g.filler)
		}
		g.rest = g.buf
	}
	n := copy(b, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// A file of 200 MB must not need 200 MB: the live heap stays under 16 MB while
// 200 MB go by.
func TestMemoryDoesNotGrow(t *testing.T) { //nolint:paralleltest // it reads the process's heap
	p, err := profile.New(profile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const size = 80 << 20 // five times what may be held
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak, next uint64
	report, err := p.ReadProgress(t.Context(), io.LimitReader(&generator{rows: 1 << 40}, size), func(done, _ int64) {
		if uint64(done) < next {
			return
		}
		next += 8 << 20
		runtime.GC()
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > before.HeapAlloc {
			peak = max(peak, now.HeapAlloc-before.HeapAlloc)
		}
	})
	// The limit cuts the last row in two.
	if err == nil {
		t.Fatalf("got no error and %d rows, want the cut row reported", report.Rows)
	}
	if next < size {
		t.Errorf("progress stopped before %d bytes", next)
	}
	t.Logf("live heap while reading %d MB: at most %d KB above the start", size>>20, peak>>10)
	if peak > 16<<20 {
		t.Errorf("live heap rose by %d bytes, want at most 16 MB", peak)
	}
}

func TestEstimates(t *testing.T) {
	t.Parallel()
	const rows = 200_000
	rng := rand.New(rand.NewPCG(3, 9))
	values := make([]float64, rows)
	categories := make(map[string]int64)
	var csv strings.Builder
	csv.WriteString("v,unique,city\n")
	for i := range values {
		values[i] = math.Round(math.Exp(rng.NormFloat64())*1e6) / 1e6
		city := "city " + strconv.Itoa(int(math.Exp(rng.Float64()*14)))
		categories[city]++
		fmt.Fprintf(&csv, "%v,user-%d,%s\n", values[i], i, city)
	}
	r := mustRead(t, csv.String())
	slices.Sort(values)

	v := r.Columns[0]
	if !v.Spread.QuantilesEstimated || !r.Columns[1].DistinctEstimated || !r.Columns[2].TopEstimated {
		t.Errorf("estimates are not marked: %+v", r.Columns)
	}
	for i, phi := range []float64{0.05, 0.25, 0.5, 0.75, 0.95} {
		at, _ := slices.BinarySearch(values, v.Spread.Quantiles[i])
		if got := float64(at) / rows; math.Abs(got-phi) > 0.005 {
			t.Errorf("quantile %v: the reported value has rank %v, off by more than 0.5 %%", phi, got)
		}
	}
	if e := math.Abs(float64(r.Columns[1].Distinct)-rows) / rows; e > 0.008 {
		t.Errorf("distinct: got %d, want %d within 0.8 %%; it is off by %.2f %%", r.Columns[1].Distinct, rows, 100*e)
	}
	var sum int64
	for _, n := range v.Histogram.Counts {
		sum += n
	}
	if sum != rows {
		t.Errorf("histogram counts %d values, want %d", sum, rows)
	}
	if last := v.Histogram.Start + float64(len(v.Histogram.Counts))*v.Histogram.Width; v.Histogram.Start > v.Spread.Min || last < v.Spread.Max {
		t.Errorf("histogram spans %v to %v, values %v to %v", v.Histogram.Start, last, v.Spread.Min, v.Spread.Max)
	}
	for _, top := range r.Columns[2].Top {
		if want := categories[top.Text]; top.Count > want || want-top.Count > rows/1000 {
			t.Errorf("%s: got %d, want %d less at most a thousandth of the rows", top.Text, top.Count, want)
		}
	}
}

func TestReportFits(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{1, 8, 64, 100} {
		t.Run(strconv.Itoa(columns), func(t *testing.T) {
			t.Parallel()
			var csv strings.Builder
			row := func(cell func(c int) string) {
				for c := range columns {
					if c > 0 {
						csv.WriteByte(',')
					}
					csv.WriteString(cell(c))
				}
				csv.WriteByte('\n')
			}
			row(func(c int) string { return strconv.Itoa(c) + strings.Repeat("<é\x01", 40) })
			for i := range 900 {
				row(func(c int) string {
					if c%2 == 0 {
						return strconv.FormatFloat(math.Sin(float64(i*c+1))*1e200, 'g', -1, 64)
					}
					return strings.Repeat("<\x02", 20) + strconv.Itoa(i%10)
				})
			}
			b, err := json.Marshal(mustRead(t, csv.String()))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d columns: %d bytes", columns, len(b))
			if len(b) > 48<<10 {
				t.Errorf("report takes %d bytes, want at most 48 KiB", len(b))
			}
		})
	}
}

// near allows for what binary fractions lose.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Abs(b) }

func TestHistogramEdges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []string
		start  float64
		width  float64
		counts []int64
	}{
		{"one value", []string{"5", "5"}, 5, 1, []int64{2}},
		{"tenths", []string{"0.1", "0.2", "0.3", "0.3"}, 0.1, 0.01, []int64{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}},
		{"zero", []string{"0", "0"}, 0, 1, []int64{2}},
		{"far apart", []string{"-1e308", "1e308"}, -1e308, 1e307, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := mustRead(t, "v,w\n"+strings.Join(tt.values, ",\n")+",\n").Columns[0].Histogram
			if tt.counts != nil && !slices.Equal(h.Counts, tt.counts) {
				t.Errorf("counts: got %v, want %v", h.Counts, tt.counts)
			}
			if !near(h.Start, tt.start) || !near(h.Width, tt.width) {
				t.Errorf("got start %v width %v, want %v and %v", h.Start, h.Width, tt.start, tt.width)
			}
		})
	}
}
