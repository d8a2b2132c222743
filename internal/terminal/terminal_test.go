package terminal_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"lastmile/internal/terminal"
)

// TestTable: the last column is cut to the terminal's width, no other is, and what
// goes elsewhere is whole.
func TestTable(t *testing.T) {
	t.Parallel()
	head := []string{"ID", "STATE", "MESSAGE"}
	row := []string{"S57OASCIYT4FJTT5Q7KFEIU6GP", "failed", "größer als\nerlaubt\x1b[2J " + strings.Repeat("x", 100)}
	for _, tt := range []struct {
		width, lines int // widest line
		want         string
	}{
		{0, 159, strings.Repeat("x", 100)},
		{1000, 159, strings.Repeat("x", 100)},
		{80, 80, "größer als erlaubt�[2J xxx"},
		{40, 52, "größer als erla…"}, // the ID is whole
	} {
		var out bytes.Buffer
		p := terminal.Printer{W: &out, Width: tt.width}
		if err := p.Table(nil, head, [][]string{row, {"short", "ok", ""}}); err != nil {
			t.Fatal(err)
		}
		widest := 0
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if widest = max(widest, utf8.RuneCountInString(line)); strings.HasSuffix(line, " ") {
				t.Errorf("%d: a line ends with blanks: %q", tt.width, line)
			}
		}
		if got := out.String(); widest != tt.lines || !strings.Contains(got, tt.want) || !strings.Contains(got, row[0]+"  failed  ") {
			t.Errorf("%d: widest line %d, want %d, with %q:\n%s", tt.width, widest, tt.lines, tt.want, got)
		}
	}
	var out bytes.Buffer
	if err := (terminal.Printer{W: &out, JSON: true, Width: 10}).Table([]string{"a long text that stays"}, head, nil); err != nil || !strings.Contains(out.String(), "a long text that stays") {
		t.Errorf("JSON: %v\n%s", err, out.String())
	}
	if p := terminal.New(&out, true); p.Width != 0 || !p.JSON {
		t.Errorf("of a buffer: %+v", p)
	}
}
