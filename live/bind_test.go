package live_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// shape is a type that data is bound into.
type shape struct {
	new  func() any
	show func(any) string
}

func shapeOf[T any]() shape {
	return shape{
		new: func() any { return new(T) },
		show: func(v any) string {
			target, _ := v.(*T) // new made it
			return fmt.Sprintf("%+v", *target)
		},
	}
}

type level int

func (l *level) UnmarshalText(b []byte) error {
	*l = level(len(b))
	return nil
}

type address struct {
	Street string
	Zip    int
}

type plainAddress struct {
	City string
	Zip  int
}

func shapes() map[string]shape {
	return map[string]shape{
		"strings":  shapeOf[struct{ Tags []string }](),
		"numbers":  shapeOf[struct{ Tags []int }](),
		"array":    shapeOf[struct{ Tags [2]float64 }](),
		"string":   shapeOf[struct{ Tags string }](),
		"int":      shapeOf[struct{ N int }](),
		"uint8":    shapeOf[struct{ N uint8 }](),
		"float":    shapeOf[struct{ N float64 }](),
		"bool":     shapeOf[struct{ On bool }](),
		"pointer":  shapeOf[struct{ N *int }](),
		"time":     shapeOf[struct{ At time.Time }](),
		"times":    shapeOf[struct{ At []time.Time }](),
		"duration": shapeOf[struct{ D time.Duration }](),
		"text":     shapeOf[struct{ L level }](),
		"embedded": shapeOf[struct {
			plainAddress
			address
			Zip string
		}](),
		"nested": shapeOf[struct {
			Address address            `json:"address"`
			By      map[string]float64 `json:"by"`
		}](),
		"quoted": shapeOf[struct {
			N int `json:",string"`
		}](),
		"any": shapeOf[struct{ V any }](),
	}
}

type fitting struct{}

type bound struct{ Text string }

func (fitting) Bind(s bound, ctx *live.Context) (bound, error) {
	shape := shapes()[ctx.GetString("shape")]
	v := shape.new()
	if err := ctx.Bind(v); err != nil {
		s.Text = "refused: " + err.Error()
		return s, nil
	}
	s.Text = shape.show(v)
	return s, nil
}

func (fitting) List(s bound, ctx *live.Context) (bound, error) {
	s.Text = fmt.Sprintf("%q", ctx.GetStrings("tags"))
	return s, nil
}

const boundHTML = `<p>{{.Text}}</p><form method="post"><input name="shape"><input name="tags"><button name="live-action" value="Bind">Bind</button></form>`

// TestBind takes what browsers send into the types that it suggests, by a click
// and by a form without JavaScript.
func TestBind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shape string
		form  string // url-encoded, as browsers send it
		want  string
	}{
		{"strings", "tags=a", "{Tags:[a]}"},
		{"strings", "tags=a&tags=b", "{Tags:[a b]}"},
		{"strings", "", "{Tags:[]}"},
		{"strings", "tags=", "{Tags:[]}"},
		{"strings", "tags=7", "{Tags:[7]}"},
		{"numbers", "tags=7", "{Tags:[7]}"},
		{"numbers", "tags=7&tags=08&tags=", "{Tags:[7 8]}"},
		{"array", "tags=1.5", "{Tags:[1.5 0]}"},
		{"string", "tags=a&tags=b", "{Tags:a}"},
		{"string", "tags=05", "{Tags:05}"},
		{"int", "n=12", "{N:12}"},
		{"int", "N=007", "{N:7}"},
		{"int", "n=%2B5", "{N:5}"},
		{"int", "n=-0012", "{N:-12}"},
		{"int", "n=1e3", "{N:1000}"},
		{"int", "n=5.0", "{N:5}"},
		{"int", "n=%2B", "refused: N"},
		{"int", "n= 3 ", "{N:3}"},
		{"int", "n=", "{N:0}"},
		{"int", "n=1&n=2", "{N:1}"},
		{"int", "n=9007199254740993", "{N:9007199254740993}"},
		{"int", "n=12.50", "refused: N"},
		{"int", "n=1,5", "refused: N"},
		{"int", "n=0x10", "refused: N"},
		{"int", "n=twelve", "refused: N"},
		{"uint8", "n=255", "{N:255}"},
		{"uint8", "n=256", "refused: N"},
		{"uint8", "n=-1", "refused: N"},
		{"float", "n=.5", "{N:0.5}"},
		{"float", "n=1e400", "refused: N"},
		{"float", "n=inf", "refused: N"},
		{"float", "n=NaN", "refused: N"},
		{"float", "n=00.25", "{N:0.25}"},
		{"bool", "on=on", "{On:true}"},
		{"bool", "on=", "{On:false}"},
		{"bool", "on=0&on=1", "{On:true}"},
		{"bool", "on=0", "{On:false}"},
		{"bool", "on=no&on=off", "{On:false}"},
		{"pointer", "n=", "{N:<nil>}"},
		{"time", "at=2026-03-04", "{At:2026-03-04 00:00:00 +0000 UTC}"},
		{"time", "at=2026-03-04T05:06", "{At:2026-03-04 05:06:00 +0000 UTC}"},
		{"time", "at=2026-03-04T05:06:07.5", "{At:2026-03-04 05:06:07.5 +0000 UTC}"},
		{"time", "at=2026-03", "{At:2026-03-01 00:00:00 +0000 UTC}"},
		{"time", "at=05:06", "{At:0000-01-01 05:06:00 +0000 UTC}"},
		{"time", "at=2026-03-04T05:06:07%2B02:00", "{At:2026-03-04 05:06:07 +0200 +0200}"},
		{"time", "at=", "{At:0001-01-01 00:00:00 +0000 UTC}"},
		{"time", "at=tomorrow", "refused: "},
		{"times", "at=2026-03-04&at=2026-03-05", "{At:[2026-03-04 00:00:00 +0000 UTC 2026-03-05 00:00:00 +0000 UTC]}"},
		{"duration", "d=1h30m", "{D:1h30m0s}"},
		{"duration", "d=1000", "{D:1µs}"},
		{"text", "l=abc", "{L:3}"},
		{"text", "l=abc&l=d", "{L:3}"},
		{"embedded", "city=Bern&zip=03012&street=X", "{plainAddress:{City:Bern Zip:0} address:{Street:X Zip:0} Zip:03012}"},
		{"embedded", "city=Bern&city=Basel&street=X&street=Y", "{plainAddress:{City:Bern Zip:0} address:{Street:X Zip:0} Zip:}"},
		{"quoted", "n=5", "{N:5}"},
		{"any", "v=5", "{V:5}"},
	} {
		t.Run(tt.shape+" "+tt.form, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				form, err := url.ParseQuery(tt.form)
				if err != nil {
					t.Fatal(err)
				}
				data := map[string]any{"shape": tt.shape}
				for k, v := range form {
					if data[k] = v; len(v) == 1 {
						data[k] = v[0]
					}
				}
				v := view(t, startNode(t, memStore(t), live.Config{}), fitting{}, bound{}, boundHTML)
				p := livetest.Open(t, v, "/")
				p.Click("Bind", data)
				got := p.TextOf("p")
				if refused, ok := strings.CutPrefix(tt.want, "refused: "); ok {
					if !strings.HasPrefix(got, "refused: ") || !strings.Contains(got, refused) {
						t.Errorf("got %q, want a refusal that names %q", got, refused)
					}
				} else if got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestBindOfAPush: its data is JSON of any shape.
func TestBindOfAPush(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shape string
		data  map[string]any
		want  string
	}{
		{"nested", map[string]any{"address": map[string]any{"street": "X", "zip": "3012"}, "by": map[string]any{"a": "1.5", "b": 2}}, "{Address:{Street:X Zip:3012} By:map[a:1.5 b:2]}"},
		{"string", map[string]any{"tags": 5}, "{Tags:5}"},
		{"string", map[string]any{"tags": true}, "{Tags:true}"},
		{"strings", map[string]any{"tags": nil}, "{Tags:[]}"},
		{"bool", map[string]any{"on": 1}, "{On:true}"},
		{"int", map[string]any{"n": map[string]any{}}, "refused: N"},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := view(t, startNode(t, memStore(t), live.Config{}), fitting{}, bound{}, boundHTML)
			p := livetest.Open(t, v, "/")
			tt.data["shape"] = tt.shape
			p.Click("Bind", tt.data)
			if got := p.TextOf("p"); got != tt.want && (!strings.HasPrefix(tt.want, "refused") || !strings.HasPrefix(got, "refused") || !strings.Contains(got, "N")) {
				t.Errorf("%v: got %q, want %q", tt.data, got, tt.want)
			}
		})
	}
}

func TestGetStrings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		data map[string]any
		want string
	}{
		{map[string]any{}, "[]"},
		{map[string]any{"tags": "a"}, `["a"]`},
		{map[string]any{"tags": ""}, `[""]`},
		{map[string]any{"tags": []any{"a", "b", 3, true}}, `["a" "b" "3" "true"]`},
		{map[string]any{"tags": []any{}}, "[]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := view(t, startNode(t, memStore(t), live.Config{}), fitting{}, bound{}, boundHTML)
			p := livetest.Open(t, v, "/")
			p.Click("List", tt.data)
			if got := p.TextOf("p"); got != tt.want {
				t.Errorf("%v: got %s, want %s", tt.data, got, tt.want)
			}
		})
	}
}
