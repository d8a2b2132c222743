package history_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"lastmile/internal/e2e/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// accept pushes tokens into session s in order.
func accept(c *history.Checker, tokens ...string) {
	for i, token := range tokens {
		c.Accept(history.Push{Session: "s", Token: token, Seq: uint64(100 + i)})
	}
}

// TestBrokenHistories proves the checker: each history breaks one guarantee,
// and only that one is counted.
func TestBrokenHistories(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		shows [][]string // one after the other, by one connection
		late  bool       // the connection came after the first push
		also  func(*history.Checker)
		want  history.Report
	}{
		{name: "all is well", shows: [][]string{{"a"}, {"a", "b", "c", "d"}}},
		{name: "nothing shown", shows: [][]string{{}}, want: history.Report{Lost: 4}},
		{name: "one lost", shows: [][]string{{"a", "c", "d"}}, want: history.Report{Lost: 1}},
		{name: "the last one lost", shows: [][]string{{"a", "b", "c"}}, want: history.Report{Lost: 1}},
		{name: "the first one lost", shows: [][]string{{"b", "c", "d"}}, want: history.Report{Lost: 1}},
		{name: "a late connection begins anywhere", late: true, shows: [][]string{{"c", "d"}}},
		{name: "a late connection with nothing to do", late: true, shows: [][]string{{}}},
		{name: "a late connection lost one", late: true, shows: [][]string{{"b", "d"}}, want: history.Report{Lost: 1}},
		{name: "one twice", shows: [][]string{{"a", "b", "b", "c", "d"}}, want: history.Report{Twice: 1}},
		{name: "one again later", shows: [][]string{{"a", "b", "c", "d", "a"}}, want: history.Report{Twice: 1}},
		{name: "two swapped", shows: [][]string{{"a", "c", "b", "d"}}, want: history.Report{Disorder: 1}},
		{name: "another session's", shows: [][]string{{"a", "x", "b", "c", "d"}}, want: history.Report{Foreign: 1}},
		{name: "state lost and applied again", shows: [][]string{{"a", "b"}, {"a"}, {"a", "b", "c", "d"}}, want: history.Report{Rewound: 1}},
		{name: "state replaced", shows: [][]string{{"a", "b"}, {"b", "a", "c", "d"}}, want: history.Report{Rewound: 1, Disorder: 1}},
		{
			name: "stored twice", shows: [][]string{{"a", "b", "c", "d"}}, want: history.Report{Twice: 1},
			also: func(c *history.Checker) { c.Accept(history.Push{Session: "s", Token: "b", Seq: 900}) },
		},
		{
			name: "accepted again at the same place", shows: [][]string{{"a", "b", "c", "d"}},
			also: func(c *history.Checker) { c.Accept(history.Push{Session: "s", Token: "b", Seq: 101}) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := history.New()
			accept(c, "a", "b", "c", "d")
			c.Accept(history.Push{Session: "other", Token: "x", Seq: 102})
			if tt.also != nil {
				tt.also(c)
			}
			for _, log := range tt.shows {
				c.Show("tab", "s", !tt.late, log)
			}
			tt.want.Accepted, tt.want.Views, tt.want.Applied = 5, 1, len(tt.shows[len(tt.shows)-1])
			got := c.Report()
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(history.Report{}, "Details")); diff != "" {
				t.Errorf("report (-want +got):\n%s%v", diff, got.Details)
			}
			if (got.Violations() > 0) != (len(got.Details) > 0) {
				t.Errorf("%d violations, details %v", got.Violations(), got.Details)
			}
			if diff := cmp.Diff(got, c.Report()); diff != "" {
				t.Errorf("a second report differs:\n%s", diff)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	c := history.New()
	accept(c, "a", "b", "c")
	c.Show("one", "s", true, []string{"a"})
	c.Show("two", "s", true, []string{"a", "b", "c"})
	c.Show("late", "s", false, nil)
	if got := c.Missing(); got != 2 {
		t.Errorf("missing %d, want 2", got)
	}
}

// TestEveryMutationIsSeen breaks random histories in random places.
func TestEveryMutationIsSeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 30).Draw(t, "pushes")
		tokens := make([]string, n)
		for i := range tokens {
			tokens[i] = strconv.Itoa(i)
		}
		log := slices.Clone(tokens)
		i := rapid.IntRange(0, n-2).Draw(t, "place")
		switch kind := rapid.SampledFrom([]string{"none", "lose", "repeat", "swap", "foreign"}).Draw(t, "kind"); kind {
		case "lose":
			log = slices.Delete(log, i, i+1)
		case "repeat":
			log = slices.Insert(log, rapid.IntRange(i+1, n).Draw(t, "to"), log[i])
		case "swap":
			log[i], log[i+1] = log[i+1], log[i]
		case "foreign":
			log = slices.Insert(log, i, "x")
		}
		c := history.New()
		accept(c, tokens...)
		for cut := range log {
			c.Show("tab", "s", true, log[:cut])
		}
		c.Show("tab", "s", true, log)
		broken := !slices.Equal(log, tokens)
		if got := c.Report().Violations(); (got == 1) != broken || got > 1 {
			t.Fatalf("%v: %d violations", log, got)
		}
	})
}
