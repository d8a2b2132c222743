// Package yardstick measures the engine and the browser client beside others:
// github.com/jfyne/live on the server, LiveView's published client, morphdom,
// idiomorph and innerHTML in headless Chromium. It is a module of its own, so
// that none of them reaches the application's go.mod, and asserts no times.
//
//	cd live/internal/yardstick
//	go test -v -run Server                          # wants nothing else
//	npm --prefix client ci && go test -v -run Browser
//
// Contenders take turns within one run, figures are medians: compare within a
// run. In the browser each is measured as js-framework-benchmark does, on pages
// just loaded and after some turns of the same change, and beside that the first
// time in a page, when nothing is compiled yet; parsing of what came over the wire
// is included, the same for all. docs/bench/engine.txt and docs/bench/client.txt are recorded ones.
package yardstick

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"

	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/yardstick/liveview"
)

// Op is a change of a page's state.
type Op struct {
	Name       string
	Base, Next any
}

// Page is a template, the same as LiveView would split it, and changes.
type Page struct {
	Name  string
	Text  string
	Split func(state any) *liveview.Block
	Ops   []Op
}

// Counter, todo and table are the engine's own pages.
func serverPages() []Page {
	todo, toggled := enginetest.NewTodo(100), enginetest.NewTodo(100)
	toggled.Items[50].Done, toggled.Left = true, 99
	return []Page{
		{"counter", enginetest.CounterPage, splitCounter, []Op{{"counter +1", enginetest.Counter{Count: 42}, enginetest.Counter{Count: 43}}}},
		{"todo 100", enginetest.TodoPage, splitTodo, []Op{{"todo toggle", todo, toggled}}},
		{"table 1000", enginetest.TablePage, splitTable, tableOps()},
	}
}

func tableOps() []Op {
	base := enginetest.NewTable(1000)
	op := func(name string, edit func(rows []enginetest.TableRow) []enginetest.TableRow) Op {
		return Op{name, base, base.With(edit)}
	}
	return []Op{
		op("update 1", func(rows []enginetest.TableRow) []enginetest.TableRow { rows[500].Count = 99; return rows }),
		op("append 1", func(rows []enginetest.TableRow) []enginetest.TableRow {
			return append(rows, enginetest.NewTableRow(1001))
		}),
		op("prepend 1", func(rows []enginetest.TableRow) []enginetest.TableRow {
			return slices.Insert(rows, 0, enginetest.NewTableRow(1001))
		}),
		op("delete 1", func(rows []enginetest.TableRow) []enginetest.TableRow { return slices.Delete(rows, 500, 501) }),
		op("swap 2", func(rows []enginetest.TableRow) []enginetest.TableRow {
			rows[1], rows[998] = rows[998], rows[1]
			return rows
		}),
		op("update every 10th", func(rows []enginetest.TableRow) []enginetest.TableRow {
			for i := 0; i < len(rows); i += 10 {
				rows[i].Price += "!"
			}
			return rows
		}),
		{"create 1,000", enginetest.Table{}, base},
	}
}

func splitCounter(state any) *liveview.Block {
	return &liveview.Block{
		Statics: []string{`<main><h1>Counter</h1><p>Count: `, `</p><button live-click="Inc">+</button></main>`},
		Parts:   []any{strconv.Itoa(state.(enginetest.Counter).Count)},
	}
}

func splitTodo(state any) *liveview.Block {
	t := state.(enginetest.Todo)
	rows := &liveview.Rows{Statics: []string{
		`<li data-key="`, `" class="`, `"><input type="checkbox" live-click="Toggle" live-value-id="`, `"`, `><span>`,
		`</span>`, `<button live-click="Delete" live-value-id="`, `">x</button></li>`,
	}}
	for _, item := range t.Items {
		id := strconv.Itoa(item.ID)
		class, checked, done := "", "", any("")
		if item.Done {
			class, checked, done = "done", " checked", &liveview.Block{Statics: []string{"<small>done</small>"}}
		}
		rows.Entries = append(rows.Entries, liveview.Entry{
			Key: id, Parts: []any{id, class, id, checked, template.HTMLEscapeString(item.Title), done, id},
		})
	}
	return &liveview.Block{
		Statics: []string{`<section><ul>`, `</ul><footer>`, ` left</footer></section>`},
		Parts:   []any{rows, strconv.Itoa(t.Left)},
	}
}

func splitTable(state any) *liveview.Block {
	rows := &liveview.Rows{Statics: []string{
		`<tr data-key="`, `"><td class="id">`, `</td><td class="name"><a href="/item/`, `">`, `</a></td><td class="`, `">`,
		`</td><td class="count">`, `</td></tr>`,
	}}
	for _, r := range state.(enginetest.Table).Rows {
		id := strconv.Itoa(r.ID)
		rows.Entries = append(rows.Entries, liveview.Entry{
			Key: id, Parts: []any{id, id, id, template.HTMLEscapeString(r.Name), r.Class, r.Price, strconv.Itoa(r.Count)},
		})
	}
	return &liveview.Block{
		Statics: []string{
			`<table><thead><tr><th>ID</th><th>Name</th><th>Price</th><th>Count</th></tr></thead><tbody>`,
			`</tbody></table>`,
		},
		Parts: []any{rows},
	}
}

// Krausest is js-framework-benchmark's table.
type Krausest struct{ Rows []KrausestRow }

// KrausestRow is one of its rows.
type KrausestRow struct {
	ID       int
	Label    string
	Selected bool
}

// krausestPage has the row's key as id, by which morphdom and idiomorph match.
const krausestPage = `<table class="table table-hover table-striped test-data"><tbody id="tbody">{{range .Rows}}` +
	`<tr id="{{.ID}}" class="{{if .Selected}}danger{{end}}"><td class="col-md-1">{{.ID}}</td>` +
	`<td class="col-md-4"><a>{{.Label}}</a></td><td class="col-md-1"><a><span class="glyphicon glyphicon-remove" ` +
	`aria-hidden="true"></span></a></td><td class="col-md-6"></td></tr>{{end}}</tbody></table>`

func splitKrausest(state any) *liveview.Block {
	rows := &liveview.Rows{Statics: []string{
		`<tr id="`, `" class="`, `"><td class="col-md-1">`, `</td><td class="col-md-4"><a>`,
		`</a></td><td class="col-md-1"><a><span class="glyphicon glyphicon-remove" aria-hidden="true"></span></a></td>` +
			`<td class="col-md-6"></td></tr>`,
	}}
	for _, r := range state.(Krausest).Rows {
		id, class := strconv.Itoa(r.ID), ""
		if r.Selected {
			class = "danger"
		}
		rows.Entries = append(rows.Entries, liveview.Entry{Key: id, Parts: []any{id, class, id, template.HTMLEscapeString(r.Label)}})
	}
	return &liveview.Block{
		Statics: []string{`<table class="table table-hover table-striped test-data"><tbody id="tbody">`, `</tbody></table>`},
		Parts:   []any{rows},
	}
}

// krausestRows returns n rows from the given number on.
func krausestRows(first, n int) []KrausestRow {
	adjectives := []string{"pretty", "large", "big", "small", "tall", "short", "long", "handsome"}
	colours := []string{"red", "yellow", "blue", "green", "pink", "brown", "purple"}
	nouns := []string{"table", "chair", "house", "bbq", "desk", "car", "pony", "cookie", "sandwich"}
	rows := make([]KrausestRow, n)
	for i := range rows {
		id := first + i
		rows[i] = KrausestRow{ID: id, Label: fmt.Sprintf("%s %s %s",
			adjectives[id*7%len(adjectives)], colours[id*5%len(colours)], nouns[id*11%len(nouns)])}
	}
	return rows
}

// browserPage is js-framework-benchmark's table with its changes and more.
func browserPage() Page {
	base := Krausest{krausestRows(1, 1000)}
	op := func(name string, edit func(rows []KrausestRow) []KrausestRow) Op {
		return Op{name, base, Krausest{edit(slices.Clone(base.Rows))}}
	}
	return Page{"js-framework-benchmark", krausestPage, splitKrausest, []Op{
		op("update 1", func(rows []KrausestRow) []KrausestRow { rows[500].Label += " !!!"; return rows }),
		op("select", func(rows []KrausestRow) []KrausestRow { rows[500].Selected = true; return rows }),
		op("swap 2", func(rows []KrausestRow) []KrausestRow { rows[1], rows[998] = rows[998], rows[1]; return rows }),
		op("remove 1", func(rows []KrausestRow) []KrausestRow { return slices.Delete(rows, 500, 501) }),
		op("append 1", func(rows []KrausestRow) []KrausestRow { return append(rows, krausestRows(1001, 1)...) }),
		op("prepend 1", func(rows []KrausestRow) []KrausestRow { return slices.Insert(rows, 0, krausestRows(1001, 1)...) }),
		op("update every 10th", func(rows []KrausestRow) []KrausestRow {
			for i := 0; i < len(rows); i += 10 {
				rows[i].Label += " !!!"
			}
			return rows
		}),
		{"create 1,000", Krausest{}, base},
		op("replace all", func([]KrausestRow) []KrausestRow { return krausestRows(1001, 1000) }),
		op("append 1,000", func(rows []KrausestRow) []KrausestRow { return append(rows, krausestRows(1001, 1000)...) }),
		op("clear", func([]KrausestRow) []KrausestRow { return nil }),
	}}
}
