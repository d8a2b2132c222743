package live

import (
	"fmt"
	"reflect"
	"slices"

	"lastmile/live/internal/delivery"
)

// sharedField is a state field tagged `live:"persist"`.
type sharedField struct {
	name  string
	index int
}

// sharedFields finds the persisted fields and refuses what cannot be one.
func sharedFields(t reflect.Type) ([]sharedField, error) {
	var fields []sharedField
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("live") == "" {
			if err := noNestedTags(f.Type, t.String()+"."+f.Name, nil); err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case loadTag(f):
			continue
		case f.Tag.Get("live") != "persist":
			return nil, fmt.Errorf("live: state field %v.%s: unknown tag `live:%q`, \"persist\" and \"load\" are known", t, f.Name, f.Tag.Get("live"))
		case !f.IsExported():
			return nil, fmt.Errorf("live: persisted state field %v.%s must be exported", t, f.Name)
		case f.Tag.Get("json") == "-":
			return nil, fmt.Errorf("live: persisted state field %v.%s must not be tagged `json:\"-\"`", t, f.Name)
		}
		fields = append(fields, sharedField{f.Name, i})
	}
	return fields, nil
}

// noNestedTags refuses tags below the first level: a persisted field is stored and
// compared as a whole, and a loaded one left out.
func noNestedTags(t reflect.Type, path string, seen []reflect.Type) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(seen, t) {
		return nil
	}
	for f := range t.Fields() {
		if hasTag(f, "persist") || hasTag(f, "load") {
			return fmt.Errorf("live: state field %s.%s: only fields of the state itself can be tagged `live:%q`", path, f.Name, f.Tag.Get("live"))
		}
		if err := noNestedTags(f.Type, path+"."+f.Name, append(seen, t)); err != nil {
			return err
		}
	}
	return nil
}

// Names implements delivery.Fields.
func (m *model) Names() []string { return m.sharedNames }

// Defaults implements delivery.Fields.
func (m *model) Defaults() delivery.Values { return m.defaults }

// Of reads the persisted fields of a state.
func (m *model) Of(state any) (delivery.Values, error) {
	if len(m.shared) == 0 {
		return nil, nil
	}
	v := reflect.ValueOf(state)
	out := make(delivery.Values, len(m.shared))
	for i, f := range m.shared {
		b, err := marshal(v.Field(f.index).Interface())
		if err != nil {
			return nil, fmt.Errorf("live: encode persisted field %s: %w", f.name, err)
		}
		out[i] = b
	}
	return out, nil
}

// With returns a state with the persisted fields replaced; fields that s
// lacks stay as they are, and those that a version of the program with another
// type has stored.
func (m *model) With(state any, s delivery.Values) any {
	if len(s) == 0 {
		return state
	}
	v := reflect.New(m.state).Elem()
	v.Set(reflect.ValueOf(state))
	for i, f := range m.shared {
		if s[i] == nil {
			continue
		}
		value := reflect.New(v.Field(f.index).Type())
		if err := unmarshal(s[i], value.Interface()); err != nil {
			m.misfit(f.name, err)
			continue
		}
		v.Field(f.index).Set(value.Elem())
	}
	return v.Interface()
}
