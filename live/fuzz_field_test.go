package live_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"lastmile/live"
)

// FuzzFieldOf compares reading one field with decoding all of them. Data that
// is no JSON has no fields worth speaking of, but must not do harm.
func FuzzFieldOf(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b":"x" } `, `{"a":"x","a":"y"}`, `{"a":{"a":[1,{"b":2}],"c":"}"},"b":[]}`, `{"\u0061":"\"\\","b":"\ud83d\ude00"}`,
		`{"a":-1.5e+7,"b":true,"c":null}`, `{"a":["x","y"]}`, `[1]`, `{"a"`, `{"a":`, `{"a":"`, `{"":""}`, `{"a":1}x`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed), "a")
		f.Add([]byte(seed), "b")
	}
	f.Add([]byte(`{"\u0061":1}`), `\u0061`)
	f.Fuzz(func(t *testing.T, object []byte, name string) {
		got, ok := live.FieldOf(object, name)
		var all map[string]json.RawMessage
		if len(object) == 0 || json.Unmarshal(object, &all) != nil || all == nil {
			return
		}
		want, there := all[name]
		if ok != there || !bytes.Equal(got, want) {
			t.Errorf("field %q of %s: %s, %v; want %s, %v", name, object, got, ok, want, there)
		}
	})
}
