package push_test

import (
	"encoding/json"
	"testing"

	"lastmile/push"
)

// TestDecodeAllocs keeps the decoding of what Publishers store at its price: a
// node pays it for every push.
func TestDecodeAllocs(t *testing.T) { //nolint:paralleltest // allocations are the process's
	stored, err := push.EncodeMessage(push.Message{Action: "Show", Data: json.RawMessage(`{"value":"x"}`), Replaces: "job:7"})
	if err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(100, func() {
		if _, err := push.DecodeMessage(stored); err != nil {
			t.Error(err)
		}
	})
	if got > 2 {
		t.Errorf("%v allocations, want one for the action and one for the key", got)
	}
}
