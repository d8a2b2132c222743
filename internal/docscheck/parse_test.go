package docscheck_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/internal/docscheck"
)

func TestParse(t *testing.T) {
	t.Parallel()
	d := docscheck.Parse("x.md", "# A title, with `code`\n[a](b.md)\n```go\n[no](link)\n# no heading\n```\n## Two\n[c](d.md) [e](#two)\n")
	if diff := cmp.Diff([]docscheck.Block{{Lang: "go", Code: "[no](link)\n# no heading\n", Line: 3}}, d.Blocks); diff != "" {
		t.Errorf("blocks:\n%s", diff)
	}
	want := []docscheck.Ref{{Doc: "x.md", Line: 2, Name: "b.md"}, {Doc: "x.md", Line: 8, Name: "d.md"}, {Doc: "x.md", Line: 8, Name: "#two"}}
	if diff := cmp.Diff(want, d.Find(regexp.MustCompile(`\]\(([^)]+)\)`))); diff != "" {
		t.Errorf("links:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"a-title-with-code": true, "two": true}, d.Anchors()); diff != "" {
		t.Errorf("anchors:\n%s", diff)
	}
	if got, want := want[0].String(), "x.md:2: b.md"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
