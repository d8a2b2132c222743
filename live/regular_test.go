package live_test

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/live"
	"lastmile/live/livetest"
)

// noted is a test that fails only in its notes.
type noted struct {
	testing.TB
	notes []string
}

func (*noted) Helper() {}

func (n *noted) Errorf(format string, args ...any) {
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
}

// TestPartsThatAreSentWholeAreTold lists templates with the line of the part that
// cannot be patched, and a word of the reason; 0 for regular ones.
func TestPartsThatAreSentWholeAreTold(t *testing.T) {
	t.Parallel()
	type list struct {
		On   bool
		Rows []int
	}
	for name, tc := range map[string]struct {
		template string
		line     int
		says     string
	}{
		"rows in a tbody":              {"<table><tbody>{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</tbody></table>", 0, ""},
		"a list in a div":              {"<div>{{if .On}}<ol><li>x</li></ol>{{end}}</div>", 0, ""},
		"rows without a tbody":         {"<p>x</p>\n<table>{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</table>", 0, ""},
		"cells without a row":          {"<p>x</p>\n<table>{{range .Rows}}<td>{{.}}</td>{{end}}</table>", 2, "<table>"},
		"a list in a paragraph":        {"<div>\n\n<p>{{if .On}}<ol><li>x</li></ol>{{end}}</p></div>", 3, "the HTML parser moves"},
		"opened in a branch":           {"<div>\n{{if .On}}<b>{{end}}x{{if .On}}</b>{{end}}</div>", 2, "<b>"},
		"another element in each":      {"<div>{{if .On}}\n<ul>{{else}}<ol>{{end}}<li>x</li>{{if .On}}</ul>{{else}}</ol>{{end}}</div>", 1, "leaves <ul> open"},
		"a row outside of every table": {"<div>\n{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</div>", 2, "the HTML parser builds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			registry := prometheus.NewRegistry()
			hub, err := live.New(goodDeps(t), live.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Secret: secret(), Registerer: registry})
			if err != nil {
				t.Fatal(err)
			}
			v, err := live.NewView(hub, "page", struct{}{}, list{}, template.Must(template.New("list").Parse(tc.template)), live.ViewConfig{})
			if err != nil {
				t.Fatal(err)
			}
			n := &noted{TB: t}
			livetest.Regular(n, v)
			count, err := testutil.GatherAndCount(registry, "live_irregular_parts_total")
			if err != nil {
				t.Fatal(err)
			}
			if tc.line == 0 {
				if len(n.notes) > 0 || count > 0 || log.Len() > 0 {
					t.Errorf("a regular page: %q, %d counted, log %s", n.notes, count, &log)
				}
				return
			}
			at := fmt.Sprintf("list:%d", tc.line)
			if len(n.notes) == 0 || !strings.Contains(n.notes[0], at) || !strings.Contains(n.notes[0], tc.says) {
				t.Errorf("told %q, want %s and %s", n.notes, at, tc.says)
			}
			if count != 1 || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), at) {
				t.Errorf("%d counted, log %s", count, &log)
			}
		})
	}
}
