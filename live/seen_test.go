package live_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"lastmile/live"
	"lastmile/live/livetest"
)

// TestFrameTellsWhatItsStateHasSeen: an answer waits for the errors before it, so
// the state of a frame can hold more than what the frame answers.
func TestFrameTellsWhatItsStateHasSeen(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{
		{"good", "bad", "good"},
		{"bad", "good", "good"},
		{"bad", "bad", "good"},
		{"good", "good", "bad"},
		{"bad", "good", "bad"},
		{"good", "good", "good"},
	} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { frameTells(t, order) })
		})
	}
}

func frameTells(t *testing.T, order []string) {
	t.Helper()
	n := startNode(t, memStore(t), live.Config{})
	h := view(t, n, choosy{&journal{}}, list{}, listHTML)
	b := livetest.NewBrowser(t)
	ws := dial(t, b, h, b.Load(h, "/"))
	for i, name := range order {
		text, err := json.Marshal(map[string]any{"a": "Take", "d": map[string]any{"item": name + string(rune('1'+i))}, "i": i + 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(t.Context(), 1, text); err != nil {
			t.Fatal(err)
		}
	}
	var seen, answered uint64
	shown := ""
	for answered < uint64(len(order)) {
		_, text, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			I uint64          `json:"i"`
			U uint64          `json:"u"`
			P json.RawMessage `json:"p"`
			X *struct {
				I uint64 `json:"i"`
			} `json:"x"`
		}
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		seen = max(seen, f.I, f.U)
		answered = max(answered, f.I)
		if f.X != nil && f.X.I == uint64(len(order)) {
			answered = f.X.I
		}
		shown += string(f.P)
		for i := range order {
			if strings.Contains(shown, order[i]+string(rune('1'+i))) && seen < uint64(i+1) {
				t.Errorf("frame %s shows message %d, the browser knows of %d", text, i+1, seen)
			}
		}
	}
}
