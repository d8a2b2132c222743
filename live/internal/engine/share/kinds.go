package share

import (
	"reflect"
	"slices"
)

// kinds is what a value may be: one of some types.
type kinds struct {
	types   []reflect.Type
	unknown bool
}

func (k *kinds) or(o kinds) {
	k.unknown = k.unknown || o.unknown
	for _, t := range o.types {
		if !slices.Contains(k.types, t) {
			k.types = append(k.types, t)
		}
	}
}

// printable says whether printing shows no address: a pointer is followed, one
// inside what is printed is not.
func (k kinds) printable() bool {
	return !k.unknown && !slices.ContainsFunc(k.types, func(t reflect.Type) bool {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return holdsPointer(t, nil)
	})
}

// free says whether there is no pointer at all.
func (k kinds) free() bool {
	return !k.unknown && !slices.ContainsFunc(k.types, func(t reflect.Type) bool { return holdsPointer(t, nil) })
}

// elements returns what the values of slices, arrays and maps may be.
func (k kinds) elements() kinds {
	out := kinds{unknown: k.unknown}
	for _, t := range k.types {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Slice, reflect.Array, reflect.Map:
			out.or(known(t.Elem()))
		case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		default:
			out.unknown = true
		}
	}
	return out
}

// keys returns what a range over the values may number them by.
func (k kinds) keys() kinds {
	out := kinds{unknown: k.unknown}
	for _, t := range k.types {
		if t.Kind() == reflect.Map {
			out.or(known(t.Key()))
		}
	}
	return out
}

// holdsPointer says whether a value of the type is or holds a pointer. What
// interfaces hold is looked at when it is there.
func holdsPointer(t reflect.Type, seen []reflect.Type) bool {
	if knownPure(t) || slices.Contains(seen, t) {
		return false
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Pointer:
		return true
	case reflect.Slice, reflect.Array:
		return holdsPointer(t.Elem(), seen)
	case reflect.Map:
		return holdsPointer(t.Key(), seen) || holdsPointer(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if holdsPointer(f.Type, seen) {
				return true
			}
		}
	default:
	}
	return false
}
