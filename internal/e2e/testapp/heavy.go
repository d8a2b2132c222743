package testapp

import (
	"encoding/json"
	"net/http"
	"runtime"
	"sync/atomic"

	"lastmile/live"
)

// Heavy is a page whose frames are large: it shows the latest of what the
// pushes brought along.
type Heavy struct {
	// Log holds a token for each push, followed by a comma.
	Log    string
	Recent string
}

// heavyRecent bounds Recent: no system's buffers hold the frames that a
// connection may leave unconfirmed then.
const heavyRecent = 64 << 10

// heavyPage has one unit, as page has.
const heavyPage = `<p id="log">{{.Log}}|{{.Recent}}</p>`

// weights is Heavy's controller.
type weights struct{ applied, slow atomic.Int64 }

// Weights is what a node tells at /weights.
type Weights struct {
	// Heap is what is in use after a collection, in bytes.
	Heap int
	// Applied counts the heavy pages' pushes, Slow those of their connections
	// that were cut because their browsers took nothing.
	Applied, Slow int
}

// Weigh applies one push.
func (w *weights) Weigh(s Heavy, ctx *live.Context) (Heavy, error) {
	s.Log += ctx.GetString("token") + ","
	s.Recent += ctx.GetString("cargo")
	s.Recent = s.Recent[max(0, len(s.Recent)-heavyRecent):]
	w.applied.Add(1)
	return s, nil
}

func (w *weights) OnDisconnect(_ Heavy, ctx *live.Context) {
	if ctx.Reason() == live.ReasonSlow {
		w.slow.Add(1)
	}
}

// tell collects and answers with Weights.
func (w *weights) tell(res http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	runtime.GC() // the second frees what pools held back
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_ = json.NewEncoder(res).Encode(Weights{int(m.HeapAlloc), int(w.applied.Load()), int(w.slow.Load())}) //nolint:gosec // the reader may be gone; no heap is that large
}
