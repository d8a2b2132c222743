package enginebrowser_test

import (
	"testing"

	"lastmile/internal/browser"
	"lastmile/live/internal/engine/enginetest"
)

// TestBrowserConsoleStaysEmpty makes rows whose attributes a browser checks when
// they are set: it must never see one without its value.
func TestBrowserConsoleStaysEmpty(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	browser.Quiet(ctx, t)
	states := []enginetest.State{{N: 3}, {N: 4, Words: []string{"1", "2"}}, {N: 5, Words: []string{"2", "3", "1"}}, {}, {A: true, N: 6, Words: []string{"4"}}}
	for name, page := range map[string]string{
		"lengths":     `<svg>{{range .Words}}<rect data-key="{{.}}" x="{{.}}" y="{{.}}" width="{{.}}" height="{{.}}px"/>{{end}}</svg>`,
		"shapes":      `<svg>{{range .Words}}<g><circle r="{{.}}"/><ellipse rx="{{.}}" ry="{{.}}"/><line x1="{{.}}" y2="{{.}}"/></g>{{end}}</svg>`,
		"paths":       `<svg>{{range .Words}}<path d="M{{.}} 1L2 {{.}}z"/><polygon points="{{.}},1 2,3"/><polyline points="0,0 {{.}},3"/>{{end}}</svg>`,
		"transforms":  `<svg>{{range .Words}}<g transform="rotate({{.}})"><text x="{{.}}" dx="{{.}}">{{.}}</text></g>{{end}}</svg>`,
		"whole svg":   `<div>{{range .Words}}<svg viewBox="0 0 {{.}} {{.}}" width="{{.}}" preserveAspectRatio="{{if $.A}}none{{else}}xMidYMid{{end}}"><rect width="{{.}}"/></svg>{{end}}</div>`,
		"conditional": `<svg>{{if .A}}<rect width="{{.N}}" height="{{.N}}"/>{{else}}<circle r="{{.N}}"/>{{end}}</svg>`,
		"in a table":  `<table><tbody>{{range .Words}}<tr><td><svg width="{{.}}"><rect width="{{.}}"/></svg></td></tr>{{end}}</tbody></table>`,
		"controls":    `<form>{{range .Words}}<input type="number" min="{{.}}" value="{{.}}"><input type="color" value="#00000{{.}}"><input type="date" value="2026-01-0{{.}}"><meter max="{{.}}" value="{{.}}"></meter>{{end}}</form>`,
		"patterns":    `<form>{{range .Words}}<input pattern="[0-{{.}}]+" maxlength="{{.}}"><progress max="9" value="{{.}}"></progress>{{end}}</form>`,
	} {
		v := newEdge(t, edge{name: name, page: page, states: states})
		for _, problem := range call[[]string](ctx, t, "runVectors", []vector{v}) {
			if problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
	}
}
