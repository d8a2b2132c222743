package live_test

import (
	"html/template"
	"slices"
	"strconv"
	"testing"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// tally counts pushes for the tab and for the session.
type tally struct {
	Own    int
	Shared int `live:"persist"`
}

type tallying struct{}

func (tallying) Add(s tally, _ *live.Context) (tally, error) {
	s.Own++
	s.Shared++
	return s, nil
}

func (tallying) Touch(s tally, _ *live.Context) (tally, error) { return s, nil }

// TestTabsNeverLookBack: of two tabs that apply the same pushes one loses the
// race to store the persisted fields, and runs its pushes again. Nobody may see
// the page meanwhile.
func TestTabsNeverLookBack(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t := e.t
		var rendered [2]journal
		var pages [2]*livetest.Page
		b := e.browser()
		var last *node
		for i := range pages {
			last = startNode(t, e.store, live.Config{})
			tmpl := template.Must(template.New("page").Funcs(template.FuncMap{
				"note": func(n int) int { rendered[i].add(strconv.Itoa(n)); return n },
			}).Parse(`<p>{{note .Own}} {{note .Shared}}</p>`))
			v, err := live.NewView(last.hub, "page", tallying{}, tally{}, tmpl, live.ViewConfig{})
			if err != nil {
				t.Fatal(err)
			}
			pages[i] = b.Open(v, "/")
		}
		session := sessionOf(t, last, b)
		const pushes = 200
		for i := range pushes {
			trigger(t, session, "Add", nil)
			if i%17 == 0 {
				pages[i%2].Click("Touch", nil)
			}
			if i%5 == 0 {
				time.Sleep(7 * time.Millisecond) // some pushes share a commit, some do not
			}
		}
		for i, p := range pages {
			p.WaitText(strconv.Itoa(pushes) + " " + strconv.Itoa(pushes))
			var numbers []int
			for _, text := range rendered[i].all() {
				n, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				numbers = append(numbers, n)
			}
			own, shared := halves(numbers)
			if !slices.IsSorted(own) {
				t.Errorf("tab %d showed %v", i, own)
			}
			if !slices.IsSorted(shared) {
				t.Errorf("tab %d showed %v for the session", i, shared)
			}
		}
	})
}

// halves takes pairs apart.
func halves(pairs []int) (first, second []int) {
	for pair := range slices.Chunk(pairs, 2) {
		first, second = append(first, pair[0]), append(second, pair[len(pair)-1])
	}
	return first, second
}
