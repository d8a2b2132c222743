package push_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/push"
)

// TestCodecGolden pins the stored form: entries written by one version wait in
// mailboxes for programs of another.
func TestCodecGolden(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file string
		want push.Message
	}{
		{"v1-action.json", push.Message{Action: "Refresh"}},
		{"v1-data.json", push.Message{Action: "DataLoaded", Data: json.RawMessage(`{"value":"<a> \"b\"","n":1.5e300,"list":[1,2,{}]}`)}},
		{"v1-full.json", push.Message{
			Action: "ReportDone", Data: json.RawMessage(`{"rows":3}`), Replaces: "job:Ümläut \"7\"", Final: true,
			Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		}},
		{"v1-progress.json", push.Message{Action: "ReportProgress", Data: json.RawMessage(`{"fraction":0.5}`), Replaces: "job:7"}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(filepath.Join("testdata", "codec", tt.file))
			if err != nil {
				t.Fatal(err)
			}
			golden = []byte(strings.TrimSuffix(string(golden), "\n"))
			got, err := push.DecodeMessage(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("decoded (-got +want):\n%s", diff)
			}
			encoded, err := push.EncodeMessage(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if string(encoded) != string(golden) {
				t.Errorf("encoded: got %s, want %s", encoded, golden)
			}
		})
	}
}

func TestDecodeMessageForeign(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stored string
		want         error
	}{
		{"fields of a later release are ignored", `{"v":1,"a":"Go","priority":{"x":[1]}}`, nil},
		{"null data is no data", `{"v":1,"a":"Go","d":null}`, nil},
		{"newer version", `{"v":2,"a":"Go"}`, push.ErrVersion},
		{"newer version with other types", `{"v":3,"a":["Go"],"d":7}`, push.ErrVersion},
		{"no version", `{"a":"Go"}`, push.ErrDecode},
		{"negative version", `{"v":-1,"a":"Go"}`, push.ErrDecode},
		{"no action", `{"v":1}`, push.ErrDecode},
		{"wrong type", `{"v":1,"a":7}`, push.ErrDecode},
		{"cut off", `{"v":1,"a":"Go","d":{"x"`, push.ErrDecode},
		{"empty", ``, push.ErrDecode},
		{"not JSON", "\x00\xff", push.ErrDecode},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := push.DecodeMessage([]byte(tt.stored))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got error %v, want %v", err, tt.want)
			}
			if err == nil && (m.Action != "Go" || m.Data != nil) {
				t.Errorf("got %+v, want only the action", m)
			}
		})
	}
}

func TestEncodeMessageInvalid(t *testing.T) {
	t.Parallel()
	if _, err := push.EncodeMessage(push.Message{Action: "Go", Data: json.RawMessage(`{"x":`)}); !errors.Is(err, push.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "codec", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":2,"a":[]}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		m, err := push.DecodeMessage(stored)
		if err != nil {
			if !errors.Is(err, push.ErrDecode) && !errors.Is(err, push.ErrVersion) {
				t.Fatalf("error %v is neither ErrDecode nor ErrVersion", err)
			}
			return
		}
		var plain struct {
			Action string          `json:"a"`
			Data   json.RawMessage `json:"d"`
		}
		if err := json.Unmarshal(stored, &plain); err != nil || plain.Action != m.Action || (m.Data != nil && string(plain.Data) != string(m.Data)) {
			t.Fatalf("%q became %+v, encoding/json reads %+v, %v", stored, m, plain, err)
		}
		again, err := push.EncodeMessage(m)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		back, err := push.DecodeMessage(again)
		if err != nil {
			t.Fatalf("decode %q: %v", again, err)
		}
		if diff := cmp.Diff(back, m); diff != "" {
			t.Errorf("round trip (-got +want):\n%s", diff)
		}
	})
}

// FuzzEncodeMessage checks that every message a Publisher accepts survives.
func FuzzEncodeMessage(f *testing.F) {
	f.Add("Go", `{"a":1}`, "key", true, "00-1-2-3")
	f.Add("É", ``, "\u2028\"\\", false, "")
	f.Fuzz(func(t *testing.T, action, data, replaces string, final bool, trace string) {
		if push.ValidAction(action) != nil || (data != "" && (!json.Valid([]byte(data)) || data[0] != '{')) {
			return
		}
		want := push.Message{Action: action, Replaces: strings.ToValidUTF8(replaces, "?"), Final: final, Traceparent: strings.ToValidUTF8(trace, "?")}
		if data != "" {
			want.Data = json.RawMessage(strings.TrimSpace(data))
		}
		b, err := push.EncodeMessage(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := push.DecodeMessage(b)
		if err != nil {
			t.Fatalf("decode %q: %v", b, err)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("round trip (-got +want):\n%s", diff)
		}
	})
}
