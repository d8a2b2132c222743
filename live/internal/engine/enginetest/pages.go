package enginetest

import (
	"fmt"
	"html/template"
	"slices"
)

// The pages that figures are measured on. Each has flat rows where it has rows.

// Counter is a page of one number.
type Counter struct{ Count int }

// CounterPage shows a Counter.
const CounterPage = `<main><h1>Counter</h1><p>Count: {{.Count}}</p><button live-click="Inc">+</button></main>`

// Todo is a list of things to do.
type Todo struct {
	Items []TodoItem
	Left  int
}

// TodoItem is one of them.
type TodoItem struct {
	ID    int
	Title string
	Done  bool
}

// TodoPage shows a Todo.
const TodoPage = `<section><ul>{{range .Items}}<li data-key="{{.ID}}" class="{{if .Done}}done{{end}}">` +
	`<input type="checkbox" live-click="Toggle" live-value-id="{{.ID}}"{{if .Done}} checked{{end}}>` +
	`<span>{{.Title}}</span>{{if .Done}}<small>done</small>{{end}}` +
	`<button live-click="Delete" live-value-id="{{.ID}}">x</button></li>{{end}}</ul>` +
	`<footer>{{.Left}} left</footer></section>`

// NewTodo returns a list of n items.
func NewTodo(n int) Todo {
	t := Todo{Left: n}
	for i := range n {
		t.Items = append(t.Items, TodoItem{ID: i + 1, Title: fmt.Sprintf("Thing number %d to do", i+1)})
	}
	return t
}

// Table is a table of seven dynamic places a row.
type Table struct{ Rows []TableRow }

// TableRow is a flat row.
type TableRow struct {
	ID    int
	Name  string
	Class string
	Price string
	Count int
}

// TablePage shows a Table.
const TablePage = `<table><thead><tr><th>ID</th><th>Name</th><th>Price</th><th>Count</th></tr></thead><tbody>{{range .Rows}}` +
	`<tr data-key="{{.ID}}"><td class="id">{{.ID}}</td><td class="name"><a href="/item/{{.ID}}">{{.Name}}</a></td>` +
	`<td class="{{.Class}}">{{.Price}}</td><td class="count">{{.Count}}</td></tr>{{end}}</tbody></table>`

// NewTable returns a table of n rows.
func NewTable(n int) Table {
	t := Table{}
	for i := range n {
		t.Rows = append(t.Rows, NewTableRow(i+1))
	}
	return t
}

// NewTableRow returns row id.
func NewTableRow(id int) TableRow {
	return TableRow{
		ID: id, Name: fmt.Sprintf("Product %d & more", id), Class: []string{"cheap", "dear"}[id%2],
		Price: fmt.Sprintf("%d.%02d EUR", id%90, id%100), Count: id % 17,
	}
}

// With returns a copy of the table whose rows edit has changed.
func (t Table) With(edit func(rows []TableRow) []TableRow) Table {
	return Table{Rows: edit(slices.Clone(t.Rows))}
}

// Dashboard has nested branches in its cards.
type Dashboard struct {
	Title string
	Cards []Card
}

// Card is one of them.
type Card struct {
	Name  string
	Value int
	Trend int
	Alert string
}

// DashboardPage shows a Dashboard.
const DashboardPage = `<h1>{{.Title}}</h1><div class="grid">{{range .Cards}}<div class="card{{if .Alert}} alert{{end}}">` +
	`<h2>{{.Name}}</h2><p>{{.Value}}</p>{{if gt .Trend 0}}<b class="up">+{{.Trend}}</b>{{else if lt .Trend 0}}` +
	`<b class="down">{{.Trend}}</b>{{else}}<b>0</b>{{end}}{{if .Alert}}<em>{{.Alert}}</em>{{end}}</div>{{end}}</div>`

// NewDashboard returns one of n cards.
func NewDashboard(n int) Dashboard {
	d := Dashboard{Title: "Today"}
	for i := range n {
		c := Card{Name: fmt.Sprintf("Card %d", i), Value: i * 37, Trend: i%3 - 1}
		if i%8 == 0 {
			c.Alert = "check this"
		}
		d.Cards = append(d.Cards, c)
	}
	return d
}

// MustParse parses a page.
func MustParse(text string) *template.Template {
	return template.Must(template.New("page").Parse(text))
}
