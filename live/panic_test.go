package live_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// touchy panics where the engine meets it, when it is told to.
type touchy struct{ Where string }

func (v touchy) at(where string) {
	if v.Where == where {
		panic("boom in " + where)
	}
}

func (v touchy) MarshalJSON() ([]byte, error) {
	v.at("marshal")
	return json.Marshal(map[string]string{"where": v.Where})
}

func (v *touchy) UnmarshalJSON(b []byte) error {
	var d map[string]string
	err := json.Unmarshal(b, &d)
	v.Where = d["where"]
	v.at("unmarshal")
	return err
}

func (v touchy) String() string { v.at("string"); return v.Where }

func (v touchy) Method() string { v.at("method"); return v.Where }

// nervous is a page full of traps.
type nervous struct {
	V      touchy
	Shared touchy `live:"persist"`
	N      int
}

type nerves struct{}

func (nerves) Set(s nervous, ctx *live.Context) (nervous, error) {
	s.V.Where = ctx.GetString("where")
	return s, nil
}

func (nerves) Share(s nervous, ctx *live.Context) (nervous, error) {
	s.Shared.Where = ctx.GetString("where")
	return s, nil
}

func (nerves) Inc(s nervous, _ *live.Context) (nervous, error) {
	s.N++
	return s, nil
}

const nervousHTML = `{{define "title"}}{{.N}} {{.V}}{{end}}<p id="n">{{.N}}</p><p>{{.V}} {{.V.Method}}</p><script>let x = {{.Shared}}</script><i title="{{.V}}">{{.Shared.Method}}</i>`

// TestPanicsStayInThePage: whatever of the program's code panics costs its own
// page at most, never the process with everybody else's.
func TestPanicsStayInThePage(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"Set", "Share"} {
		for _, where := range []string{"marshal", "unmarshal", "string", "method"} {
			t.Run(action+" "+where, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					n := startNode(t, memStore(t), live.Config{})
					v := view(t, n, nerves{}, nervous{}, nervousHTML)
					b := livetest.NewBrowser(t)
					bad, other := b.Open(v, "/"), livetest.Open(t, v, "/")
					bad.Send(action, map[string]any{"where": where})
					time.Sleep(10 * time.Second)
					bad.Drop()
					_ = bad.TryConnect(v) // however that goes
					time.Sleep(10 * time.Second)
					b.Peek(v, "/")
					trigger(t, sessionOf(t, n, b), "Inc", nil)
					time.Sleep(10 * time.Second)
					other.Click("Inc", nil)
					other.Wait("its click", func() bool { return other.TextOf("#n") == "1" })
				})
			})
		}
	}
}
