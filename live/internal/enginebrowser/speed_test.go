package enginebrowser_test

import (
	_ "embed"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

//go:embed testdata/speed.js
var speedJS string

type speedOp struct {
	Name  string `json:"name"`
	Patch string `json:"patch"`
}

type speedVector struct {
	Manifest string    `json:"manifest"`
	Marked   string    `json:"marked"`
	Plain    string    `json:"plain"`
	Rounds   int       `json:"rounds"`
	Ops      []speedOp `json:"ops"`
}

// TestBrowserSpeed reports what the client's work on a table of 1,000 rows
// takes. It asserts no times: the machine may be busy.
//
//nolint:paralleltest // measures
func TestBrowserSpeed(t *testing.T) {
	ctx := open(t)
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](speedJS+"\nvoid 0"))
	v := newSpeedVector(t)
	times := call[map[string]float64](ctx, t, "runSpeed", v)
	if len(times) < len(v.Ops) {
		t.Fatalf("the page was not adopted: %v", times)
	}
	for _, name := range append([]string{"innerHTML", "hydrate"}, names(v.Ops)...) {
		t.Logf("report: client, 1,000 rows, %s: %.2f ms", name, times[name])
	}
}

func names(ops []speedOp) []string {
	var out []string
	for _, op := range ops {
		out = append(out, op.Name)
	}
	return out
}

func newSpeedVector(t *testing.T) speedVector {
	t.Helper()
	base := enginetest.NewTable(1000)
	set, err := engine.Compile(enginetest.MustParse(enginetest.TablePage), reflect.TypeFor[enginetest.Table](), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	view := set.NewView()
	html, err := view.HTML(nil, base)
	if err != nil {
		t.Fatal(err)
	}
	var plain strings.Builder
	if err := enginetest.MustParse(enginetest.TablePage).Execute(&plain, base); err != nil {
		t.Fatal(err)
	}
	v := speedVector{Manifest: string(set.Manifest()), Marked: string(html), Plain: plain.String(), Rounds: 15}
	state := base
	for _, op := range []struct {
		name string
		edit func(rows []enginetest.TableRow) []enginetest.TableRow
	}{
		{"update 1", func(rows []enginetest.TableRow) []enginetest.TableRow { rows[500].Count = 99; return rows }},
		{"update every 10th", func(rows []enginetest.TableRow) []enginetest.TableRow {
			for i := 0; i < len(rows); i += 10 {
				rows[i].Name += "!"
			}
			return rows
		}},
		{"swap", func(rows []enginetest.TableRow) []enginetest.TableRow {
			rows[1], rows[998] = rows[998], rows[1]
			return rows
		}},
		{"remove 1", func(rows []enginetest.TableRow) []enginetest.TableRow { return slices.Delete(rows, 500, 501) }},
		{"append 1", func(rows []enginetest.TableRow) []enginetest.TableRow {
			return append(rows, enginetest.NewTableRow(5001))
		}},
		{"prepend 1", func(rows []enginetest.TableRow) []enginetest.TableRow {
			return slices.Insert(rows, 0, enginetest.NewTableRow(5002))
		}},
		{"clear", func([]enginetest.TableRow) []enginetest.TableRow { return nil }},
		{"create 1,000", func([]enginetest.TableRow) []enginetest.TableRow { return enginetest.NewTable(1000).Rows }},
		{"replace all", func([]enginetest.TableRow) []enginetest.TableRow { return enginetest.NewTable(2000).Rows[1000:] }},
		{"append 1,000", func(rows []enginetest.TableRow) []enginetest.TableRow {
			return append(rows, enginetest.NewTable(4000).Rows[3000:]...)
		}},
	} {
		state = state.With(op.edit)
		patch, _, err := view.Patch(nil, state)
		if err != nil {
			t.Fatal(err)
		}
		v.Ops = append(v.Ops, speedOp{Name: op.name, Patch: string(patch)})
	}
	return v
}
