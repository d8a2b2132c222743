package live_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"lastmile/live"
	"lastmile/live/livetest"
)

// counter is a page with a little of everything.
type counter struct {
	N     int
	Last  string
	Saved int `live:"persist"`
}

type counting struct{}

func (counting) Add(s counter, ctx *live.Context) (counter, error) {
	s.N += max(1, ctx.GetInt("by"))
	return s, nil
}

func (counting) Save(s counter, _ *live.Context) (counter, error) {
	s.Saved++
	return s, nil
}

func (counting) Note(s counter, ctx *live.Context) (counter, error) {
	s.Last = ctx.GetString("text")
	return s, nil
}

func (counting) Fail(s counter, _ *live.Context) (counter, error) {
	s.N = 1000
	return s, errors.New("no luck")
}

const counterHTML = `<p>n={{.N}} last={{.Last}} saved={{.Saved}}</p>
<button id="add" live-click="Add" live-value-by="2">Add</button>
<form method="post"><input name="by" value="5"><button id="five" name="live-action" value="Add">Five</button></form>
<form method="post"><button id="save" name="live-action" value="Save">Save</button></form>`

func TestClickAndPush(t *testing.T) {
	t.Parallel()
	for name, newStore := range map[string]func(*testing.T) store{
		"memory": func(t *testing.T) store { t.Helper(); return memStore(t) }, "redis": redisStore,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := startNode(t, newStore(t), live.Config{})
				page := view(t, n, counting{}, counter{}, counterHTML)
				b := livetest.NewBrowser(t)
				p := b.Open(page, "/counter")
				if !p.State().Hydrated {
					t.Error("the first connection of an unchanged page needs no snapshot")
				}
				p.Click("#add", nil)
				p.WaitText("n=2")
				p.Submit("#five", nil)
				p.WaitText("n=7")
				trigger(t, sessionOf(t, n, b), "Note", map[string]any{"text": "pushed"})
				p.WaitText("last=pushed")
				if err := p.Try("Fail", nil); err == nil || err.Code != "error" {
					t.Errorf("Fail answered %v, want the code error", err)
				}
				p.Reconnect(page)
				p.WaitText("n=7 last=pushed")
				if got := p.State(); got.Mounts != 0 || got.Hydrated {
					t.Errorf("after a reconnect: %d mounts, hydrated %v; want a snapshot of the saved state", got.Mounts, got.Hydrated)
				}
			})
		})
	}
}
