package live_test

import (
	"encoding/json"
	"html/template"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lastmile/live"
	"lastmile/push"
)

type (
	plain    struct{ N int }
	noAction struct{}

	pointerState struct{}
	noError      struct{}
	wrongContext struct{}
	badMount     struct{}
	badLeave     struct{}
	helper       struct{}
)

func (pointerState) Act(s *plain, _ *live.Context) (*plain, error) { return s, nil }
func (noError) Act(s plain, _ *live.Context) plain                 { return s }
func (wrongContext) Act(s plain, _ int) (plain, error)             { return s, nil }
func (badMount) Mount() error                                      { return nil }
func (badLeave) OnDisconnect(s plain, _ *live.Context) (plain, error) {
	return s, nil
}
func (helper) Close() error { return nil }

func TestNewViewChecksTheController(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		controller any
		want       string // part of the error
	}{
		{"no method", noAction{}, ""},
		{"a helper method", helper{}, ""},
		{"nil", nil, "no controller"},
		{"state by pointer", pointerState{}, "Act is func(*live_test.plain"},
		{"no error result", noError{}, "want func(live_test.plain, *live.Context) (live_test.plain, error)"},
		{"another argument", wrongContext{}, "Act"},
		{"Mount of another kind", badMount{}, "Mount is func() error"},
		{"OnDisconnect with results", badLeave{}, "OnDisconnect must be func(S, *live.Context)"},
		{"methods on the pointer", Controller{}, "pass &live_test.Controller{}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var err error
			if tt.name == "methods on the pointer" {
				_, err = live.NewView(newHub(t), "x", tt.controller, State{}, template.Must(template.New("x").Parse("x")), live.ViewConfig{})
			} else {
				_, err = live.NewView(newHub(t), "x", tt.controller, plain{}, template.Must(template.New("x").Parse("x")), live.ViewConfig{})
			}
			if got := errText(err); !strings.Contains(got, tt.want) || (tt.want == "") != (err == nil) {
				t.Errorf("got error %q, want one with %q", got, tt.want)
			}
		})
	}
}

type inner struct {
	X int `live:"persist"`
}

func TestNewViewChecksTheState(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		try  func(*live.Hub) error
		want string
	}{
		{"chan", tryState(struct{ C chan int }{}), "field struct { C chan int }.C of type chan int"},
		{"func in a map", tryState(struct{ M map[string]func() }{}), "M of type func()"},
		{"unexported", tryState(struct{ n int }{}), ".n is unexported"},
		{"excluded func", tryState(struct {
			F func() `json:"-"`
		}{}), ""},
		{"persisted but unexported", tryState(struct {
			n int `live:"persist"`
		}{}), "unexported"},
		{"persisted but excluded", tryState(struct {
			N int `live:"persist" json:"-"`
		}{}), "must not be tagged"},
		{"persisted func", tryState(struct {
			F func() `live:"persist"`
		}{}), "does not marshal"},
		{"unknown tag", tryState(struct {
			N int `live:"persistent"`
		}{}), "unknown tag"},
		{"nested persist", tryState(struct{ In inner }{}), "only fields of the state itself"},
		{"not a struct", tryState(3), "not a struct"},
		{"interface", tryState(struct{ V any }{3}), "field struct { V interface {} }.V of type interface {}"},
		{"interface with methods", tryState(struct{ In struct{ Err []error } }{}), ".In.Err of type error"},
		{"key without a form", tryState(struct{ M map[struct{ X int }]int }{}), ".M: a map's keys of type struct { X int }"},
		{"key of a float", tryState(struct{ M map[float64]int }{}), ".M: a map's keys of type float64"},
		{"keys with a form", tryState(struct {
			A map[int]int
			B map[netip.Addr]string
		}{}), ""},
		{"writes only", tryState(struct{ V writesJSON }{}), ".V of type live_test.writesJSON has MarshalJSON"},
		{"writes text only", tryState(struct{ M map[string]writesText }{}), ".M of type live_test.writesText has MarshalText"},
		{"reads what it writes", tryState(struct {
			T time.Time
			A netip.Addr
			R json.RawMessage
			N json.Number
			B *big.Int
		}{R: json.RawMessage("1"), N: "1"}), ""},
		{"one name twice", tryState(struct {
			Inner
			Other
		}{}), ".Inner.N does not come back"},
		{"hides an embedded field", tryState(hides{}), "hides.Inner.N does not come back"},
		{"not a number", tryState(struct{ In []struct{ F float64 } }{In: []struct{ F float64 }{{1}, {math.NaN()}}}), ".In.F: json: unsupported value: NaN"},
		{"recursive", tryState(tree{}), ""},
		{"fine", tryState(counter{N: 3}), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.try(newHub(t))
			if got := errText(err); !strings.Contains(got, tt.want) || (tt.want == "") != (err == nil) {
				t.Errorf("got error %q, want one with %q", got, tt.want)
			}
		})
	}
}

type tree struct{ Children []tree }

type writesJSON int

func (writesJSON) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

type writesText int

func (writesText) MarshalText() ([]byte, error) { return []byte("1"), nil }

// Inner is embedded, as a package's own type would be.
type Inner struct{ N int }

// Other has a field of the same name.
type Other struct{ N int }

type hides struct {
	Inner
	N int
}

func tryState[S any](s S) func(*live.Hub) error {
	return func(h *live.Hub) error {
		_, err := live.NewView(h, "x", noAction{}, s, template.Must(template.New("x").Parse("x")), live.ViewConfig{})
		return err
	}
}

func TestNewViewChecksTheRest(t *testing.T) {
	t.Parallel()
	hub := newHub(t)
	tmpl := template.Must(template.New("x").Parse(`x`))
	if _, err := live.NewView(hub, "x", counting{}, counter{}, tmpl, live.ViewConfig{PushOnly: []string{"Nope"}}); err == nil || !strings.Contains(err.Error(), "Nope") {
		t.Errorf("PushOnly with an unknown action: got %v", err)
	}
	if _, err := live.NewView(hub, "", counting{}, counter{}, tmpl, live.ViewConfig{}); err == nil {
		t.Error("no name: got no error")
	}
	if _, err := live.NewView(hub, "x", counting{}, counter{}, tmpl, live.ViewConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, err := live.NewView(hub, "x", counting{}, counter{}, tmpl, live.ViewConfig{}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second view of the name: got %v", err)
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	deps := live.Deps{}
	if _, err := live.New(deps, live.Config{}); err == nil || !strings.Contains(err.Error(), "no Node") {
		t.Errorf("no Node: got %v", err)
	}
	for name, cfg := range map[string]live.Config{
		"Secret":         {Secret: []byte("short")},
		"MaxConns":       {MaxConns: -1},
		"AllowedOrigins": {AllowedOrigins: []string{"example.com"}},
		"CookieName":     {CookieName: "a b"},
	} {
		cfg.Logger = quiet()
		if _, err := live.New(goodDeps(t), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a bad %s: got error %v", name, err)
		}
	}
}

func goodDeps(t *testing.T) live.Deps {
	t.Helper()
	s := memStore(t)
	node, err := push.NewNode(s, push.NodeConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(s, push.PublisherConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return live.Deps{Node: node, Publisher: publisher, States: s, Broker: s}
}

// newHub returns a hub that is not run.
func newHub(t *testing.T) *live.Hub {
	t.Helper()
	hub, err := live.New(goodDeps(t), live.Config{Logger: quiet(), Secret: secret()})
	if err != nil {
		t.Fatal(err)
	}
	return hub
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
