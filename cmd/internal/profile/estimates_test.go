package profile_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/cmd/internal/profile"
)

// Around the sizes at which the sketch changes its form, every estimate is
// within what the page promises, and they do not all lie on one side.
func TestDistinctIsUnbiased(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4096, 4097, 12_000, 42_000, 60_000, 90_000, 150_000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			var mean float64
			const sets = 5
			for set := range sets {
				var csv strings.Builder
				csv.WriteString("key\n")
				for i := range n {
					fmt.Fprintf(&csv, "set %d key %d\n", set, i)
				}
				c := mustRead(t, csv.String()).Columns[0]
				off := float64(c.Distinct)/float64(n) - 1
				mean += off / sets
				if math.Abs(off) > 0.008 || !c.DistinctEstimated && off != 0 {
					t.Errorf("set %d: got %d distinct values, want %d; off by %+.2f %%", set, c.Distinct, n, 100*off)
				}
				if c.DistinctEstimated != (n > 4096) {
					t.Errorf("set %d: estimated is %v", set, c.DistinctEstimated)
				}
			}
			if math.Abs(mean) > 0.003 {
				t.Errorf("on average off by %+.2f %%, want less than 0.3 %% in either direction", 100*mean)
			}
		})
	}
}

func TestFrequentValues(t *testing.T) {
	t.Parallel()
	long := "https://example.org/" + strings.Repeat("x", 55)
	type run struct {
		text  string
		times int
	}
	for _, tt := range []struct {
		name string
		runs []run
		want []profile.Value
	}{
		{"a long value", []run{{long, 95}, {"https://x.org/1", 3}, {"https://x.org/2", 2}}, []profile.Value{
			{Text: long[:45] + "…", Count: 95}, {Text: "https://x.org/1", Count: 3}, {Text: "https://x.org/2", Count: 2},
		}},
		{"two long values with one start", []run{{long + "a", 5}, {long + "b", 7}}, []profile.Value{
			{Text: long[:45] + "…", Count: 7}, {Text: long[:45] + "…", Count: 5},
		}},
		{"as long as is kept", []run{{long[:64], 4}, {long[:65], 3}}, []profile.Value{
			{Text: long[:45] + "…", Count: 4}, {Text: long[:45] + "…", Count: 3},
		}},
		{"cut inside a character", []run{{strings.Repeat("ü", 40), 2}, {"ü", 1}}, []profile.Value{
			{Text: strings.Repeat("ü", 22) + "…", Count: 2}, {Text: "ü", Count: 1},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var csv strings.Builder
			csv.WriteString("url\n")
			for _, r := range tt.runs {
				csv.WriteString(strings.Repeat(r.text+"\n", r.times))
			}
			c := mustRead(t, csv.String()).Columns[0]
			if d := cmp.Diff(c.Top, tt.want); d != "" || c.TopEstimated {
				t.Errorf("estimated %v, top values (-got +want):\n%s", c.TopEstimated, d)
			}
		})
	}
}

// As many different values as fit are counted exactly, also in a wide file;
// the rare ones among too many are still within a thousandth of the rows.
func TestFrequentValuesAmongMany(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		columns, others  int
		exact            bool
		rows, want, near int64
	}{
		{"one column", 1, 20_000, true, 200_000, 154, 0},
		{"five columns", 5, 10_000, true, 200_000, 154, 0},
		{"a hundred columns", 100, 2_000, true, 10_000, 154, 0},
		{"no two others alike", 1, 200_000, false, 200_000, 300, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var csv strings.Builder
			fill := strings.Repeat(",", tt.columns-1) + "\n"
			csv.WriteString("v" + fill)
			for i := range int(tt.rows) {
				if every := int(tt.rows / tt.want); i%every == 0 && i/every < int(tt.want) {
					csv.WriteString("frequent" + fill)
				} else {
					fmt.Fprintf(&csv, "value %d%s", i%tt.others, fill)
				}
			}
			c := mustRead(t, csv.String()).Columns[0]
			if c.TopEstimated == tt.exact || len(c.Top) == 0 {
				t.Fatalf("estimated is %v, top values %v", c.TopEstimated, c.Top)
			}
			if top := c.Top[0]; top.Text != "frequent" || top.Count > tt.want || top.Count < tt.want-tt.near {
				t.Errorf("got %+v, want frequent %d, at most %d less", top, tt.want, tt.near)
			}
		})
	}
}
