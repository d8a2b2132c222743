package live_test

import (
	"html/template"
	"strings"
	"testing"

	"lastmile/live"
)

type desk struct{}

func (desk) Save(s plain, _ *live.Context) (plain, error)  { return s, nil }
func (desk) Drop(s plain, _ *live.Context) (plain, error)  { return s, nil }
func (desk) Ready(s plain, _ *live.Context) (plain, error) { return s, nil }

// TestNewViewChecksTheTemplate lists what authors misspell: an attribute that
// nothing reads, and an action that nobody has, each where the template has it.
func TestNewViewChecksTheTemplate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ tmpl, want string }{
		{`<button live-click="Save">x</button>`, ""},
		{`<button LIVE-CLICK='Save'>x</button>`, ""},
		{`<button live-click=Save live-value-id="{{.N}}" live-value-a-b="1">x</button>`, ""},
		{`<button live-click="{{if .N}}Save{{else}}Drop{{end}}">x</button>`, ""},
		{`<input name="q" live-input="Save" live-debounce="200"><select name="s" live-change="Drop"></select>`, ""},
		{`<form method="post" live-reset live-recover="no"><button name="live-action" value="Save">x</button></form>`, ""},
		{`<form method="post"><input type="hidden" name="live-action" value="{{.N}}"></form>`, ""},
		{`<form method="post" action="/other"><button name="live-action" value="Else">x</button></form>`, ""},
		{`<form method="post"><button formaction="/other" name="live-action" value="Else">x</button></form>`, ""},
		{`<form method="post" action=""><button name="live-action" value="Save">x</button></form>`, ""},
		{`<p live-ignore>{{.N}}</p><div live-hook="chart" live-force></div>`, ""},
		{`<button live-click="Save" live-disable>x</button><form method="post" live-disable></form>`, ""},
		{`<p id="live-flash" class="live-pending" aria-live="polite" data-live-x="y" liven="1">x</p>`, ""},
		{`<!-- <b live-clik="x"> --><p title='<b live-clik="x">'>&lt;b live-clik="x"></p>`, ""},
		{`<script>var s = '<b live-clik="x">'</script><textarea><b live-clik="x"></textarea>`, ""},

		{"<p>x</p>\n<button live-clik=\"Save\">x</button>", `template x:2: <button>: no attribute is called live-clik`},
		{`<button live-Clicks="Save">x</button>`, `no attribute is called live-clicks`},
		{`<button live-clik="{{.N}}">x</button>`, `no attribute is called live-clik`},
		{`<button live-click="Save" live-values-id="1">x</button>`, `live-values-id`},
		{`<form live-submit="Save"></form>`, `live-submit`},
		{`{{if .N}}<b live-="1">x</b>{{end}}`, `no attribute is called live-`},
		{"{{if .N}}\n\n<b live-click=\"Sumbit\">x</b>{{end}}", `template x:3: <b>: live-click="Sumbit": the controller has no such action; it has Drop, Ready, Save`},
		{`<button live-click="save">x</button>`, `live-click="save"`},
		{`<button live-click="">x</button>`, `live-click=""`},
		{`<button live-click="Save ">x</button>`, `live-click="Save "`},
		{`<button live-click="S&#97;ves">x</button>`, `live-click="Saves"`},
		{`<input live-input="Nope">`, `live-input="Nope"`},
		{`<input live-change="Nope">`, `live-change="Nope"`},
		{`<button live-click="Ready">x</button>`, `the action is PushOnly`},
		{`<form method="post"><button name="live-action" value="Nope">x</button></form>`, `live-action="Nope"`},
		{`<form method="post"><input type="hidden" value="Nope" name="live-action"></form>`, `live-action="Nope"`},
		{`<input live-input="Save" live-debounce="soon">`, `live-debounce="soon": want milliseconds`},
		{`<input live-input="Save" live-debounce="-1">`, `live-debounce="-1"`},
		{`<form live-recover="yes"></form>`, `live-recover="yes": want no`},
		{`<button live-click="Save" live-disable="Saving">x</button>`, `live-disable has no value`},
		{`<button live-click="Save" live-disabled>x</button>`, `no attribute is called live-disabled`},
		{`<div live-hook></div>`, `live-hook names no hook`},
		{`<svg><g live-clik="Save"/></svg>`, `live-clik`},
		{`<table><tr live-clik="Save"><td>{{.N}}</table>`, `live-clik`},
		{`{{define "part"}}<i live-click="Nope">x</i>{{end}}<p>{{template "part" .}}</p>`, `live-click="Nope"`},
		{"<b live-clik=1>\n<b live-click=Nope>", `x:2`}, // all are told
	} {
		t.Run(tt.tmpl, func(t *testing.T) {
			t.Parallel()
			tmpl := template.Must(template.New("x").Parse(tt.tmpl))
			_, err := live.NewView(newHub(t), "x", desk{}, plain{}, tmpl, live.ViewConfig{PushOnly: []string{"Ready"}})
			if got := errText(err); !strings.Contains(got, tt.want) || (tt.want == "") != (err == nil) {
				t.Errorf("got error %q, want one with %q", got, tt.want)
			}
		})
	}
}
