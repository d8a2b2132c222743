package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"lastmile/push"
)

func (f *fake) Handles(action string) bool { return action != "Nobody" }

func (f *fake) Run(_ context.Context, state any, e push.Entry, _ Source) (Outcome, error) {
	s, _ := state.(fakeState)
	f.ran = append(f.ran, e.Action)
	s.Own += e.Action
	var fx Effects
	switch {
	case strings.HasPrefix(e.Action, "say"):
		fx = fakeEffects(e.Action)
	case strings.HasPrefix(e.Action, "quiet"):
		fx = fakeEffects(e.Action)
	}
	if f.fails[e.Action] > 0 {
		f.fails[e.Action]--
		return Outcome{Effects: fx}, f.failure
	}
	if strings.HasPrefix(e.Action, "share") {
		s.A += e.Action
	}
	b, err := f.Encode(s)
	return Outcome{State: s, Encoded: b, Effects: fx}, err
}

func (f *fake) Failed(_ context.Context, _ push.Entry, _ Source, _ int, err error) push.Reason {
	if errors.Is(err, push.ErrReject) {
		return push.ReasonRejected
	}
	return push.ReasonError
}

func (f *fake) Encode(state any) ([]byte, error) {
	b, err := json.Marshal(state)
	if len(b) > f.limit {
		return nil, ErrStateSize
	}
	return b, err
}

func (f *fake) Flat() bool { return !f.notFlat }

// fakeFields are A and B.
type fakeFields struct {
	names []string
	err   error
}

func (f *fake) Names() []string { return []string{"A", "B"} }

func (f fakeFields) Names() []string { return f.names }

func (f fakeFields) Of(state any) (Values, error) {
	s, _ := state.(fakeState)
	if len(f.names) == 0 {
		return nil, nil
	}
	a, _ := json.Marshal(s.A) // strings
	b, _ := json.Marshal(s.B)
	return Values{a, b}, f.err
}

func (f fakeFields) With(state any, v Values) any {
	s, _ := state.(fakeState)
	for i, to := range []*string{&s.A, &s.B} {
		if i < len(v) && v[i] != nil {
			_ = json.Unmarshal(v[i], to) // strings
		}
	}
	return s
}

func (f fakeFields) Defaults() Values {
	if len(f.names) == 0 {
		return nil
	}
	return Values{json.RawMessage(`""`), json.RawMessage(`""`)}
}

// programOf is the fake's code with a view's fields.
type programOf struct {
	*fake
	fields fakeFields
}

func (p programOf) Fields() Fields { return p.fields }

func (p programOf) Decode(b []byte) (any, error) {
	var s fakeState
	if p.decode != nil {
		return nil, p.decode
	}
	err := json.Unmarshal(b, &s)
	return s, err
}

func (p programOf) Load(_ context.Context, state any) (any, error) { return state, nil }
