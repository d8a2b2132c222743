package jobs

import (
	"encoding"
	"encoding/json"
	"hash/fnv"
	"reflect"
	"strconv"
	"strings"
)

// shapeOf returns what the JSON of a type looks like, as a short text that is
// another one for a type that would read it wrongly: fields and their types count,
// the names of types do not.
func shapeOf[T any]() string {
	t := reflect.TypeFor[T]()
	var b strings.Builder
	describe(&b, t, map[reflect.Type]bool{})
	if b.Len() <= 24 {
		return b.String()
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(b.String())) // never fails
	return t.Kind().String() + " " + strconv.FormatUint(h.Sum64(), 36)
}

func describe(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	switch {
	case t.Implements(reflect.TypeFor[json.Marshaler]()), reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()),
		t.Implements(reflect.TypeFor[encoding.TextMarshaler]()), reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		b.WriteString(t.String()) // its own form
		return
	case seen[t]:
		b.WriteString("^")
		return
	}
	seen[t] = true
	defer delete(seen, t)
	switch t.Kind() {
	case reflect.Pointer:
		describe(b, t.Elem(), seen)
	case reflect.Slice, reflect.Array:
		b.WriteString("[]")
		describe(b, t.Elem(), seen)
	case reflect.Map:
		b.WriteString("map[" + t.Key().Kind().String() + "]")
		describe(b, t.Elem(), seen)
	case reflect.Struct:
		b.WriteString("{")
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() && !f.Anonymous || name == "-" {
				continue
			}
			if name == "" {
				name = f.Name
			}
			b.WriteString(name + " ")
			describe(b, f.Type, seen)
			b.WriteString(";")
		}
		b.WriteString("}")
	default:
		b.WriteString(t.Kind().String())
	}
}
