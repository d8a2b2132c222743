package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

// handler is a controller method without its state's type: found and asserted
// once, called without reflection.
type handler func(state any, ctx *Context) (any, error)

// model is what a controller and its state amount to.
type model struct {
	state        reflect.Type
	initial      []byte
	actions      map[string]handler
	mount        handler // nil when the controller has none
	onConnect    handler // nil when the controller has none
	onURL        handler // nil when the controller has none
	onDisconnect func(state any, ctx *Context)
	shared       []sharedField
	sharedNames  []string
	defaults     delivery.Values // of the initial state
	errors       int             // the field of type FieldErrors, -1 for none
	loaded       loaded
	// misfit hears of a stored field that does not fit its type.
	misfit func(field string, err error)
	// flat says that a copy of the state shares no memory with it, so that a
	// failed action cannot have changed the one it was given.
	flat   bool
	decode func([]byte) (any, error)
}

// newModel checks the controller and the state and finds their parts.
func newModel[S any](controller any, initial S) (*model, error) {
	t := reflect.TypeFor[S]()
	if err := checkState(t); err != nil {
		return nil, err
	}
	shared, err := sharedFields(t)
	if err != nil {
		return nil, err
	}
	m := &model{state: t, shared: shared, flat: flatType(t), actions: map[string]handler{}, errors: errorsField(t)}
	if m.loaded, err = loadedFields(t); err != nil {
		return nil, err
	}
	m.decode = func(b []byte) (any, error) {
		var s S
		if err := unmarshal(b, m.loaded.inward(&s)); err != nil {
			return nil, fmt.Errorf("live: decode state: %w", err)
		}
		return s, nil
	}
	for _, f := range shared {
		m.sharedNames = append(m.sharedNames, f.name)
	}
	if m.initial, err = roundTrip(m, initial); err != nil {
		return nil, err
	}
	if err := checkCarried(m); err != nil {
		return nil, err
	}
	if err := findActions[S](m, controller); err != nil {
		return nil, err
	}
	if err := m.loaded.check(t); err != nil {
		return nil, err
	}
	state, err := m.fresh()
	if err != nil {
		return nil, err
	}
	m.defaults, err = m.Of(state)
	return m, err
}

// roundTrip encodes the initial state and checks that a stored state comes back
// as it was.
func roundTrip(m *model, initial any) ([]byte, error) {
	first, err := marshal(m.loaded.outward(initial))
	if unsupported := new(json.UnsupportedValueError); errors.As(err, &unsupported) {
		if path := notANumber(reflect.ValueOf(initial), m.state.String()); path != "" {
			return nil, fmt.Errorf("live: state field %s: %w", path, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("live: state %v does not marshal to JSON: %w", m.state, err)
	}
	back, err := m.decode(first)
	if err != nil {
		return nil, fmt.Errorf("live: state %v does not come back from JSON: %w", m.state, err)
	}
	second, err := marshal(m.loaded.outward(back))
	if err != nil {
		return nil, fmt.Errorf("live: state %v does not marshal to JSON: %w", m.state, err)
	}
	if !bytes.Equal(first, second) {
		return nil, fmt.Errorf("live: state %v changes on its way through JSON: %s becomes %s", m.state, first, second)
	}
	return first, nil
}

// fresh returns a new copy of the initial state.
func (m *model) fresh() (any, error) { return m.decode(m.initial) }

// encode returns the state as JSON.
func (m *model) encode(state any) ([]byte, error) {
	b, err := marshal(m.loaded.outward(state))
	if err != nil {
		return nil, fmt.Errorf("live: encode state: %w", err)
	}
	return b, nil
}

// marshal is json.Marshal for the program's own types: their methods may panic.
func marshal(v any) (b []byte, err error) {
	defer caught(&err)
	return json.Marshal(v)
}

// unmarshal is json.Unmarshal likewise.
func unmarshal(b []byte, v any) (err error) {
	defer caught(&err)
	return json.Unmarshal(b, v)
}

// findActions asserts the controller's methods to their typed form. A method
// that looks like an action but has another signature is a mistake worth
// stopping for.
func findActions[S any](m *model, controller any) error {
	if controller == nil {
		return errors.New("live: no controller")
	}
	v := reflect.ValueOf(controller)
	for i := range v.NumMethod() {
		name, method := v.Type().Method(i).Name, v.Method(i).Interface()
		switch fn := method.(type) {
		case func(S, *Context) (S, error):
			if err := m.addAction(name, typed(fn)); err != nil {
				return err
			}
		case func(S, *Context):
			if name != "OnDisconnect" {
				return wrongSignature[S](controller, name, method)
			}
			m.onDisconnect = func(state any, ctx *Context) { fn(state.(S), ctx) } //nolint:errcheck,forcetypeassert // the decoder of this S made it
		default:
			if nearMiss(v.Method(i).Type(), m.state) || lifecycle(name) {
				return wrongSignature[S](controller, name, method)
			}
		}
	}
	if len(m.actions) == 0 && m.mount == nil && m.onConnect == nil && m.onURL == nil && m.loaded.hook == nil && v.NumMethod() == 0 && v.Kind() == reflect.Struct &&
		reflect.PointerTo(v.Type()).NumMethod() > 0 {
		return fmt.Errorf("live: controller %T has its methods on the pointer: pass &%T{}", controller, controller)
	}
	return nil
}

// typed forgets a method's state type.
func typed[S any](fn func(S, *Context) (S, error)) handler {
	return func(state any, ctx *Context) (any, error) {
		return fn(state.(S), ctx) //nolint:errcheck,forcetypeassert // the decoder of this S made it
	}
}

func (m *model) addAction(name string, h handler) error {
	switch name {
	case "Mount":
		m.mount = h
	case "OnConnect":
		m.onConnect = h
	case onURL:
		m.onURL = h
	case onLoad:
		m.loaded.hook = h
	case "OnDisconnect":
		return errors.New("live: OnDisconnect must be func(S, *live.Context): it comes too late to change the state")
	default:
		if err := push.ValidAction(name); err != nil {
			return fmt.Errorf("live: action %q: %w", name, err)
		}
		m.actions[name] = h
	}
	return nil
}

func lifecycle(name string) bool {
	return name == "Mount" || name == "OnConnect" || name == "OnDisconnect" || name == onLoad || name == onURL
}

// nearMiss tells whether a signature mentions the state or the Context: then it
// was meant to be an action.
func nearMiss(f, state reflect.Type) bool {
	ctx := reflect.TypeFor[*Context]()
	for p := range f.Ins() {
		if p == ctx || p == reflect.TypeFor[Context]() || p == state || p == reflect.PointerTo(state) {
			return true
		}
	}
	for r := range f.Outs() {
		if r == state || r == reflect.PointerTo(state) {
			return true
		}
	}
	return false
}

func wrongSignature[S any](controller any, name string, method any) error {
	state := reflect.TypeFor[S]()
	want := fmt.Sprintf("func(%v, *live.Context) (%v, error)", state, state)
	if name == "OnDisconnect" {
		want = fmt.Sprintf("func(%v, *live.Context)", state)
	}
	return fmt.Errorf("live: method %T.%s is %T, want %s", controller, name, method, want)
}

// checkState refuses state types that would lose something on their way
// through the store.
func checkState(t reflect.Type) error {
	if t.Kind() != reflect.Struct {
		return fmt.Errorf("live: state %v is not a struct", t)
	}
	return checkType(t, t.String(), nil)
}

func checkType(t reflect.Type, path string, seen []reflect.Type) error {
	switch {
	case slices.Contains(seen, t):
		return nil
	case t.Kind() == reflect.Interface:
		return fmt.Errorf("live: state field %s of type %v: what an interface holds comes back from JSON as something else; "+
			"use the type itself, or json.RawMessage", path, t)
	case marshals(t):
		return comesBack(t, path)
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128, reflect.Uintptr:
		return fmt.Errorf("live: state field %s of type %v does not marshal to JSON: keep it in the controller, or tag it `json:\"-\"`", path, t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return checkType(t.Elem(), path, seen)
	case reflect.Map:
		if err := checkKey(t.Key(), path); err != nil {
			return err
		}
		return checkType(t.Elem(), path, seen)
	case reflect.Struct:
		return checkFields(t, path, seen)
	default:
		return nil
	}
}

func checkFields(t reflect.Type, path string, seen []reflect.Type) error {
	for f := range t.Fields() {
		name, tag := path+"."+f.Name, f.Tag.Get("json")
		if tag == "-" || f.Name == "_" || loadTag(f) {
			continue
		}
		if !f.IsExported() && (!f.Anonymous || f.Type.Kind() != reflect.Struct) {
			return fmt.Errorf("live: state field %s is unexported: it would not survive a reconnect; export it, or tag it `json:\"-\"`", name)
		}
		if err := checkType(f.Type, name, seen); err != nil {
			return err
		}
	}
	return nil
}

// marshals tells types that know their own JSON form.
func marshals(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	jm, tm := reflect.TypeFor[json.Marshaler](), reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
	return t.Implements(jm) || p.Implements(jm) || t.Implements(tm) || p.Implements(tm)
}

// flatType tells types whose copy shares no mutable memory with the original.
func flatType(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return true
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return flatType(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if !flatType(f.Type) {
				return false
			}
		}
	default:
	}
	return true
}

// hasTag reports whether a live tag holds the word.
func hasTag(f reflect.StructField, word string) bool {
	return slices.Contains(strings.Split(f.Tag.Get("live"), ","), word)
}
