package engine_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastmile/live/internal/engine"
)

var update = flag.Bool("engine.update", false, "rewrite the golden files")

type goldenRow struct {
	ID   int
	Text string
}

type goldenState struct {
	Class, Name string
	Admin       bool
	Rows        []goldenRow
}

const goldenPage = `<p class="n {{.Class}}">Hello {{.Name}}!</p>{{if .Admin}}<b>admin</b>{{end}}` +
	`<ul>{{range .Rows}}<li id="{{.ID}}">{{.Text}}</li>{{end}}</ul>`

// TestGolden writes every form of the wire format once. docs/protocol.md quotes
// these lines.
func TestGolden(t *testing.T) {
	t.Parallel()
	first := goldenState{Class: "blue", Name: "Ann", Admin: true, Rows: []goldenRow{{1, "one"}, {2, "two"}}}
	four := goldenState{Rows: []goldenRow{{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}}}
	set := compile(t, goldenPage, goldenState{}, engine.Options{})
	var w bytes.Buffer
	fmt.Fprintf(&w, "template %s\nmanifest %s\n", goldenPage, set.Manifest())
	html, err := set.NewView().HTML(nil, first)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := set.NewView().Snapshot(nil, first)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&w, "html %s\nsnapshot %s\n", html, snapshot)
	for _, c := range []struct {
		name string
		from goldenState
		edit func(s *goldenState)
	}{
		{"name", first, func(s *goldenState) { s.Name = "Bob" }},
		{"no admin", first, func(s *goldenState) { s.Admin = false }},
		{"row text", first, func(s *goldenState) { s.Rows[1].Text = "2nd" }},
		{"delete", first, func(s *goldenState) { s.Rows = s.Rows[1:] }},
		{"delete a run", four, func(s *goldenState) { s.Rows = s.Rows[3:] }},
		{"prepend", first, func(s *goldenState) { s.Rows = slices.Insert(s.Rows, 0, goldenRow{9, "nine"}) }},
		{"swap", four, func(s *goldenState) { s.Rows[0], s.Rows[3] = s.Rows[3], s.Rows[0] }},
		{"several", first, func(s *goldenState) { *s = goldenState{Name: "Zoë & <co>", Rows: []goldenRow{{2, "two"}, {3, "3"}}} }},
	} {
		v := set.NewView()
		render(t, v, c.from)
		state := c.from
		state.Rows = slices.Clone(state.Rows)
		c.edit(&state)
		patch, _, err := v.Patch(nil, state)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&w, "patch: %s %s\n", c.name, patch)
	}
	compareGolden(t, "wire.txt", w.Bytes())
	for line := range strings.Lines(w.String()) {
		kind, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "html", "snapshot":
			requireInProtocol(t, text)
		case "patch:":
			_, patch, _ := strings.Cut(text, "[")
			requireInProtocol(t, "["+patch)
		}
	}
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; -engine.update rewrites it:\ngot\n%s\nwant\n%s", name, got, want)
	}
}

func requireInProtocol(t *testing.T, example string) {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), example) {
		t.Errorf("docs/protocol.md does not show %s", example)
	}
}
