package profile_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"lastmile/cmd/internal/profile"
)

// FuzzRead holds the profiler against encoding/csv: what the one accepts the
// other accepts, with as many rows and columns; whatever comes in, the answer
// is a bounded report or a fault with its place.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "a;b\n1,5;2\n", "\xef\xbb\xbfa\r\n\"x\"\"y\"\r\n", "a,b\n\"x\ny\",2\n\n3,4", "a\n\"", "a,b\n1\n", "a,b\n1,2,3\n",
		"x\n1e308\n-1e308\n", "d\n2024-01-01\n0001-01-01\n9999-12-31\n", "a\tb\n\t\n", "a,b\n\r,1\n", "a\r\r\n1\n",
	} {
		f.Add([]byte(s))
	}
	p, err := profile.New(profile.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		report, err := p.Read(t.Context(), bytes.NewReader(in))
		if err != nil {
			if fault, ok := errors.AsType[*profile.Error](err); !ok || fault.Message == "" || fault.Line < 0 || (fault.Line > 0) != (fault.Column > 0) {
				t.Fatalf("got error %v, want a fault with its place", err)
			}
			return
		}
		if b, err := json.Marshal(report); err != nil || len(b) > 48<<10 {
			t.Fatalf("report: %d bytes, error %v", len(b), err)
		}
		want := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(in), "\xef\xbb\xbf")))
		want.Comma = rune(report.Delimiter[0])
		rows, err := want.ReadAll()
		if err != nil {
			t.Fatalf("encoding/csv refuses what was read as %d rows: %v", report.Rows, err)
		}
		if int64(len(rows)-1) != report.Rows || len(rows[0]) != len(report.Columns) {
			t.Fatalf("got %d rows of %d columns, encoding/csv %d of %d", report.Rows, len(report.Columns), len(rows)-1, len(rows[0]))
		}
	})
}
