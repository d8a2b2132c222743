package live_test

import (
	"html/template"
	"strings"
	"sync"
	"testing"

	"lastmile/live"
)

type (
	loader[S any] struct{}
	hookless      struct{}
	ownJSON       struct {
		Rows []string `live:"load"`
	}
	embedded struct {
		sync.Mutex
		Rows []string `live:"load"`
	}
)

func (loader[S]) OnLoad(s S, _ *live.Context) (S, error) { return s, nil }
func (ownJSON) MarshalJSON() ([]byte, error)             { return []byte("{}"), nil }
func (*ownJSON) UnmarshalJSON([]byte) error              { return nil }

// TestNewViewChecksLoadedFields tries what load tags and hook may look like.
func TestNewViewChecksLoadedFields(t *testing.T) {
	t.Parallel()
	type rows struct {
		Rows []func() `live:"load"`
	}
	type nested struct{ In rows }
	for name, tt := range map[string]struct {
		try  func(*live.Hub) error
		want string
	}{
		"both":              {tryLoad(loader[rows]{}, rows{}), ""},
		"no hook":           {tryLoad(hookless{}, rows{}), ".Rows is tagged `live:\"load\"` and the controller has no OnLoad"},
		"no field":          {tryLoad(loader[plain]{}, plain{}), "has OnLoad and no field of live_test.plain"},
		"of another kind":   {tryLoad(loader[plain]{}, rows{}), "OnLoad is func("},
		"nested":            {tryLoad(loader[nested]{}, nested{}), ".In.Rows: only fields of the state itself"},
		"its own JSON":      {tryLoad(loader[ownJSON]{}, ownJSON{}), ".Rows: the state has a JSON form of its own"},
		"an embedded mutex": {tryLoad(loader[embedded]{}, embedded{}), "live_test.embedded"},
		"two tags": {tryLoad(loader[struct {
			N int `live:"load,persist"`
		}]{}, struct {
			N int `live:"load,persist"`
		}{}), "unknown tag"},
		"unexported": {tryLoad(loader[struct {
			n int `live:"load"`
		}]{}, struct {
			n int `live:"load"`
		}{}), ".n must be exported"},
		"left out by JSON too": {tryLoad(loader[struct {
			Rows []func() `json:"-" live:"load"`
		}]{}, struct {
			Rows []func() `json:"-" live:"load"`
		}{}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.try(newHub(t))
			if got := errText(err); !strings.Contains(got, tt.want) || (tt.want == "") != (err == nil) {
				t.Errorf("got error %q, want one with %q", got, tt.want)
			}
		})
	}
}

func tryLoad[S any](controller any, initial S) func(*live.Hub) error {
	return func(h *live.Hub) error {
		_, err := live.NewView(h, "x", controller, initial, template.Must(template.New("x").Parse("x")), live.ViewConfig{})
		return err
	}
}
