package live_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/live"
)

const unreadable = "live_persisted_fields_unreadable_total"

type worded struct {
	N    string `live:"persist"`
	Keep int    `live:"persist"`
}

type wordedActions struct{}

func (wordedActions) Set(s worded, _ *live.Context) (worded, error) {
	s.N, s.Keep = "words", 7
	return s, nil
}

type numbered struct {
	N    int `live:"persist"`
	Keep int `live:"persist"`
}

type numberedActions struct{}

func (numberedActions) Bump(s numbered, _ *live.Context) (numbered, error) {
	s.Keep++
	return s, nil
}

// TestPersistedFieldOfAnotherType: a new version changes the type of a
// persisted field. Its pages come up with what fits, and a rollback before any
// change finds everything.
func TestPersistedFieldOfAnotherType(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		reg := prometheus.NewRegistry()
		before, after := startNode(t, s, live.Config{}), startNode(t, s, live.Config{Registerer: reg})
		const text = `n={{.N}} keep={{.Keep}}.`
		v1, v2 := view(t, before, wordedActions{}, worded{}, text), view(t, after, numberedActions{}, numbered{}, text)
		b := e.browser()
		p := b.Open(v1, "/")
		p.Click("Set", nil)
		p.Close()
		b.Open(v2, "/").WaitText("n=0 keep=7.")
		if got := strings.Join(samples(t, reg), "\n"); !strings.Contains(got, unreadable+" ") || strings.Contains(got, unreadable+" 0") {
			t.Errorf("the field that does not fit is not counted:\n%s", got)
		}
		b.Open(v1, "/").WaitText("n=words keep=7.")
		p = b.Open(v2, "/")
		p.Click("Bump", nil)
		p.WaitText("n=0 keep=8.")
		p.Close()
		b.Open(v1, "/").WaitText("n= keep=8.")
	})
}

// TestPersistedFieldsThatDoNotFitIn: what another tab has stored makes a page's
// state too large. The page ends, and comes back without its own fields.
func TestPersistedFieldsThatDoNotFitIn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t := e.t
		n := startNode(t, e.store, live.Config{MaxStateBytes: 2000})
		v := view(t, n, newListing(), list{}, listHTML)
		b := e.browser()
		full, other := b.Open(v, "/"), b.Open(v, "/")
		full.Click("Put", put(strings.Repeat("y", 1200)))
		large := strings.Repeat("a", 1200)
		other.Click("SetA", map[string]any{"v": large})
		full.Send("Tally", nil)
		if code := full.WaitClosed(); code != 1011 {
			t.Errorf("closed with %d, want 1011", code)
		}
		full.Reconnect(v)
		full.WaitText("a=" + large)
		if strings.Contains(full.Text(), "yyy") {
			t.Error("the page kept its own fields")
		}
		full.Click("SetB", map[string]any{"v": "goes on"})
		full.WaitText("b=goes on")
	})
}
