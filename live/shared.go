package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"lastmile/push"
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
		case f.Tag.Get("live") != "persist":
			return nil, fmt.Errorf("live: state field %v.%s: unknown tag `live:%q`, only \"persist\" is known", t, f.Name, f.Tag.Get("live"))
		case !f.IsExported():
			return nil, fmt.Errorf("live: persisted state field %v.%s must be exported", t, f.Name)
		case f.Tag.Get("json") == "-":
			return nil, fmt.Errorf("live: persisted state field %v.%s must not be tagged `json:\"-\"`", t, f.Name)
		}
		fields = append(fields, sharedField{f.Name, i})
	}
	return fields, nil
}

// noNestedTags refuses persist tags below the first level: a persisted field is
// stored and compared as a whole.
func noNestedTags(t reflect.Type, path string, seen []reflect.Type) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(seen, t) {
		return nil
	}
	for f := range t.Fields() {
		if hasTag(f, "persist") {
			return fmt.Errorf("live: state field %s.%s: only fields of the state itself can be tagged `live:\"persist\"`", path, f.Name)
		}
		if err := noNestedTags(f.Type, path+"."+f.Name, append(seen, t)); err != nil {
			return err
		}
	}
	return nil
}

// shared holds the persisted fields' JSON, in the model's order. A nil element
// is a field that the record lacks (it was written by an older version).
type shared []json.RawMessage

func (s shared) equal(other shared) bool {
	return slices.EqualFunc(s, other, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// sharedOf reads the persisted fields of a state.
func (m *model) sharedOf(state any) (shared, error) {
	if len(m.shared) == 0 {
		return nil, nil
	}
	v := reflect.ValueOf(state)
	out := make(shared, len(m.shared))
	for i, f := range m.shared {
		b, err := marshal(v.Field(f.index).Interface())
		if err != nil {
			return nil, fmt.Errorf("live: encode persisted field %s: %w", f.name, err)
		}
		out[i] = b
	}
	return out, nil
}

// withShared returns a state with the persisted fields replaced; fields that s
// lacks stay as they are, and those that a version of the program with another
// type has stored.
func (m *model) withShared(state any, s shared) any {
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

// merge takes from mine the fields that differ from base, and the others from
// theirs: what an action changed wins, field by field.
func merge(base, mine, theirs shared) shared {
	out := slices.Clone(theirs)
	for i := range mine {
		if out[i] == nil || !bytes.Equal(mine[i], base[i]) {
			out[i] = mine[i]
		}
	}
	return out
}

// viewState is what is known of a view record.
type viewState struct {
	fields  shared
	cursor  push.Seq
	version uint64
	// skipped are the pushes up to cursor that the view had no action for when
	// it passed them: a later version of the program may have one.
	skipped []push.Seq
	// applied are the IDs of the latest pushes that went into fields.
	applied applied
}

// maxViewSkipped bounds what a view record remembers of skipped pushes.
const maxViewSkipped = 64

// viewDocument is the stored form of a view record's state.
type viewDocument struct {
	Fields  map[string]json.RawMessage `json:"fields"`
	Skipped []push.Seq                 `json:"skipped,omitempty"`
	Applied []byte                     `json:"applied,omitempty"`
}

// decodeView reads a view record.
func (m *model) decodeView(r push.ViewRecord) (viewState, error) {
	v := viewState{fields: make(shared, len(m.shared)), cursor: r.Cursor, version: r.Version}
	if len(r.State) == 0 {
		return v, nil
	}
	var doc viewDocument
	if err := json.Unmarshal(r.State, &doc); err != nil {
		return viewState{}, fmt.Errorf("live: decode view record: %w", err)
	}
	for i, f := range m.shared {
		v.fields[i] = doc.Fields[f.name]
	}
	v.skipped, v.applied = doc.Skipped, decodeApplied(doc.Applied, r.Cursor)
	return v, nil
}

// encodeView writes a view record that holds the fields of v.
func (m *model) encodeView(v viewState) (push.ViewRecord, error) {
	doc := viewDocument{Fields: make(map[string]json.RawMessage, len(m.shared)), Skipped: v.skipped, Applied: v.applied.encode()}
	if n := len(doc.Skipped); n > maxViewSkipped {
		doc.Skipped = doc.Skipped[n-maxViewSkipped:]
	}
	for i, f := range m.shared {
		if v.fields[i] != nil {
			doc.Fields[f.name] = v.fields[i]
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return push.ViewRecord{}, fmt.Errorf("live: encode view record: %w", err)
	}
	return push.ViewRecord{State: b, Cursor: v.cursor, Version: v.version}, nil
}

// holds reports whether a push's effect is in the record's fields.
func (v *viewState) holds(e push.Entry) bool {
	return (e.Seq <= v.cursor && !slices.Contains(v.skipped, e.Seq)) || v.applied.has(e)
}
