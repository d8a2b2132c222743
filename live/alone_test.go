package live_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// TestOnlyTheKillerIsCharged: what is started beside a push that ends the
// process is charged with two deaths at most; then each is started alone.
func TestOnlyTheKillerIsCharged(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		const sessions, killer = 50, 7
		f := newFleet(e, sessions, deadly)
		for i := range sessions {
			if i == killer {
				f.push(i, "killer")
			}
			f.push(i, fmt.Sprint("push-", i))
		}
		deaths, killed := 0, 0
		for {
			died, started := f.process(live.Config{})
			if !died {
				break
			}
			if deaths++; deaths > 10 {
				e.t.Fatal("it is not found out")
			}
			if slices.Contains(started, "killer") {
				killed++
			}
			if got := f.starts(killer, "killer"); got != killed {
				e.t.Errorf("death %d: %d starts of the killer are counted, want %d", deaths, got, killed)
			}
			for i := range sessions {
				if got := f.starts(i, fmt.Sprint("push-", i)); got > 2 {
					e.t.Errorf("death %d: %d starts of an innocent push are counted, want 2 at most", deaths, got)
				}
			}
		}
		if deaths != 4 {
			e.t.Errorf("%d processes ended, want 4", deaths)
		}
		f.check("killer")
	})
}

// TestKillersAreFoundWhereverTheyAre: several killers at once, and killers
// behind others in line.
func TestKillersAreFoundWhereverTheyAre(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		const sessions = 20
		f := newFleet(e, sessions, deadly)
		for i := range sessions {
			for n := range 12 {
				switch {
				case i == 0 && n == 0, i == 1 && n == 1, i == 2 && n == 9, i == 3 && (n == 4 || n == 5):
					f.push(i, fmt.Sprintf("killer-%d-%d", i, n))
				default:
					f.push(i, fmt.Sprintf("push-%d-%d", i, n))
				}
			}
		}
		deaths := 0
		for died := true; died; {
			if died, _ = f.process(live.Config{}); died {
				deaths++
			}
			if deaths > 40 {
				e.t.Fatal("they are not found out")
			}
			for i, pushed := range f.pushed {
				for item := range pushed {
					if got := f.starts(i, item); got > 2 && !deadly(item) {
						e.t.Errorf("death %d: %d starts of %s are counted, want 2 at most", deaths, got, item)
					}
				}
			}
		}
		if deaths > 6*5 {
			e.t.Errorf("%d processes ended of 5 killers, want some 5 each", deaths)
		}
		e.t.Logf("%d processes ended", deaths)
		f.check("killer-0-0", "killer-1-1", "killer-2-9", "killer-3-4", "killer-3-5")
	})
}

// watched notes what runs beside what.
type watched struct {
	mu      sync.Mutex
	running map[string]bool
	beside  int
	wrong   []string
}

func (w *watched) Put(s list, ctx *live.Context) (list, error) {
	item := ctx.GetString("item")
	w.look(item, true)
	time.Sleep(20 * time.Millisecond)
	w.look(item, false)
	s.Items = append(s.Items, item)
	return s, nil
}

func (w *watched) look(item string, starts bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[item] = starts
	maps.DeleteFunc(w.running, func(_ string, running bool) bool { return !running })
	for other := range w.running {
		if len(w.running) > 1 && strings.HasPrefix(other, "alone") {
			w.wrong = append(w.wrong, fmt.Sprintf("%s beside %d others", other, len(w.running)-1))
		}
	}
	w.beside = max(w.beside, len(w.running))
}

// TestNothingStartsBesideOneThatIsAlone, while the others start together.
func TestNothingStartsBesideOneThatIsAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		f := newFleet(e, 40, deadly)
		for i := range f.sessions {
			for n := range 2 {
				item := fmt.Sprintf("beside-%d-%d", i, n)
				if i%2 == 1 && n == 0 {
					item = fmt.Sprint("alone-", i)
				}
				f.push(i, item)
				for range 2 + i%4/3 { // some have been alone before
					if item[0] == 'a' {
						_, _ = e.store.CountStart(e.t.Context(), f.sessions[i].ID(), f.pushed[i][item].Seq, 4)
					}
				}
			}
		}
		n := startNode(e.t, e.store, live.Config{})
		w := &watched{running: map[string]bool{}}
		v := view(e.t, n, w, list{}, listHTML)
		synctest.Wait()
		var shown []*livetest.Page
		for i, p := range f.pages {
			if i > 0 && f.of[i-1] == f.of[i] {
				continue // one tab each: others share what it has survived
			}
			if err := p.TryConnect(v); err != nil {
				e.t.Fatal(err)
			}
			shown = append(shown, p)
		}
		time.Sleep(time.Minute)
		for i, p := range shown {
			if got := items(p); got != f.want[i] {
				e.t.Errorf("session %d shows %q, want %q", i, got, f.want[i])
			}
		}
		for _, wrong := range w.wrong {
			e.t.Error(wrong)
		}
		if w.beside < 5 {
			e.t.Errorf("%d pushes ran at once, want many", w.beside)
		}
	})
}
