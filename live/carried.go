package live

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// What follows finds the fields that a state loses on its way through JSON before
// a user does, at a reconnect: by their types, and by sending a state through in
// which each field has a value.

// comesBack refuses types that write their own JSON and cannot read it.
func comesBack(t reflect.Type, path string) error {
	p := reflect.PointerTo(t)
	writes, reads := "MarshalJSON", reflect.TypeFor[json.Unmarshaler]()
	if m := reflect.TypeFor[json.Marshaler](); !t.Implements(m) && !p.Implements(m) {
		writes, reads = "MarshalText", reflect.TypeFor[encoding.TextUnmarshaler]()
	}
	if t.Implements(reads) || p.Implements(reads) {
		return nil
	}
	return fmt.Errorf("live: state field %s of type %v has %s and does not read what that writes: it needs Un%s", path, t, writes, "m"+writes[1:])
}

// checkKey refuses maps that have no form in JSON.
func checkKey(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return nil
	default:
	}
	if t.Kind() != reflect.Interface && t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return comesBack(t, path)
	}
	return fmt.Errorf("live: state field %s: a map's keys of type %v have no form in JSON: use strings or whole numbers", path, t)
}

// checkCarried sends a state through JSON in which every field has a value.
func checkCarried(m *model) error {
	t := m.state
	full := reflect.New(t).Elem()
	fillIn(full, nil)
	b, err := marshal(m.loaded.outward(full.Interface()))
	if err != nil {
		return nil //nolint:nilerr // a type with rules of its own: the initial state will tell
	}
	back, err := m.decode(b)
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	if path := differing(full, reflect.ValueOf(back), t.String()); path != "" {
		return fmt.Errorf("live: state field %s does not come back from JSON: look for fields with one name, embedded ones too", path)
	}
	return nil
}

// fillIn gives all that v holds a value, but for types with a form of their own.
func fillIn(v reflect.Value, seen []reflect.Type) {
	t := v.Type()
	if marshals(t) || slices.Contains(seen, t) {
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	case reflect.String:
		v.SetString("x")
	case reflect.Pointer:
		if !marshals(t.Elem()) && !slices.Contains(seen, t.Elem()) {
			v.Set(reflect.New(t.Elem()))
			fillIn(v.Elem(), seen)
		}
	case reflect.Slice:
		if !marshals(t.Elem()) && !slices.Contains(seen, t.Elem()) {
			v.Set(reflect.MakeSlice(t, 1, 1))
			fillIn(v.Index(0), seen)
		}
	case reflect.Array:
		for i := range v.Len() {
			fillIn(v.Index(i), seen)
		}
	case reflect.Map:
		if !marshals(t.Elem()) && !marshals(t.Key()) && !slices.Contains(seen, t.Elem()) {
			key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			fillIn(key, seen)
			fillIn(value, seen)
			v.Set(reflect.MakeMap(t))
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if stored(t.Field(i)) {
				fillIn(v.Field(i), append(seen, t))
			}
		}
	default:
	}
}

// stored tells fields that are to go through JSON.
func stored(f reflect.StructField) bool {
	return f.Name != "_" && f.Tag.Get("json") != "-" && !loadTag(f) && (f.IsExported() || f.Anonymous)
}

// differing returns the path of the first field that has changed, or "".
func differing(a, b reflect.Value, path string) string {
	if marshals(a.Type()) {
		return ""
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			f := a.Type().Field(i)
			if !stored(f) {
				continue
			}
			if p := differing(a.Field(i), b.Field(i), path+"."+f.Name); p != "" {
				return p
			}
		}
		return ""
	case reflect.Pointer:
		if a.IsNil() == b.IsNil() {
			if a.IsNil() {
				return ""
			}
			return differing(a.Elem(), b.Elem(), path)
		}
		return path
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return path
		}
		for i := range a.Len() {
			if p := differing(a.Index(i), b.Index(i), path); p != "" {
				return p
			}
		}
		return ""
	case reflect.Map:
		for _, k := range a.MapKeys() {
			other := b.MapIndex(k)
			if !other.IsValid() {
				return path
			}
			if p := differing(a.MapIndex(k), other, path); p != "" {
				return p
			}
		}
		return ""
	default:
		if a.Equal(b) {
			return ""
		}
		return path
	}
}

// notANumber returns the path of a number in the state that JSON cannot write, or
// "".
func notANumber(v reflect.Value, path string) string {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return path
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return notANumber(v.Elem(), path)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if p := notANumber(v.Index(i), path); p != "" {
				return p
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if p := notANumber(v.MapIndex(k), path); p != "" {
				return p
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); stored(f) && !marshals(f.Type) {
				if p := notANumber(v.Field(i), path+"."+f.Name); p != "" {
					return p
				}
			}
		}
	default:
	}
	return ""
}
