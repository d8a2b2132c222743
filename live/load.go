package live

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

// onLoad names the hook that fills the fields tagged `live:"load"`.
const onLoad = "OnLoad"

// loaded are the fields of a state that are never stored: OnLoad fills them when
// the state is made or comes out of the store.
type loaded struct {
	fields []int
	hook   handler
	// stored is the state's type without them, or nil if their JSON tags leave
	// them out already.
	stored reflect.Type
}

// loadTag tells the fields that are loaded.
func loadTag(f reflect.StructField) bool { return f.Tag.Get("live") == "load" }

// loadedFields finds the fields of a state that are loaded.
func loadedFields(t reflect.Type) (l loaded, err error) {
	tags := make([]reflect.StructField, t.NumField())
	visible := false
	for i := range tags {
		tags[i] = t.Field(i)
		if !loadTag(tags[i]) {
			continue
		}
		if !tags[i].IsExported() {
			return l, fmt.Errorf("live: loaded state field %v.%s must be exported", t, tags[i].Name)
		}
		visible = visible || tags[i].Tag.Get("json") != "-"
		l.fields = append(l.fields, i)
		tags[i].Tag = `json:"-"`
	}
	if !visible {
		return l, nil
	}
	path := t.String() + "." + t.Field(l.fields[0]).Name
	if marshals(t) {
		return l, fmt.Errorf("live: loaded state field %s: the state has a JSON form of its own, which must leave the field out: tag it `live:\"load\" json:\"-\"` then", path)
	}
	defer func() {
		if v := recover(); v != nil { // it cannot make all types with embedded fields
			err = fmt.Errorf("live: loaded state field %s: tag it `live:\"load\" json:\"-\"`: %v", path, v)
		}
	}()
	l.stored = reflect.StructOf(tags)
	if !l.stored.ConvertibleTo(t) {
		return l, fmt.Errorf("live: loaded state field %s: tag it `live:\"load\" json:\"-\"`", path)
	}
	return l, nil
}

// check compares the fields with the controller's hook.
func (l *loaded) check(t reflect.Type) error {
	switch {
	case len(l.fields) > 0 && l.hook == nil:
		return fmt.Errorf("live: state field %v.%s is tagged `live:\"load\"` and the controller has no %s to load it", t, t.Field(l.fields[0]).Name, onLoad)
	case len(l.fields) == 0 && l.hook != nil:
		return fmt.Errorf("live: the controller has %s and no field of %v is tagged `live:\"load\"`", onLoad, t)
	}
	return nil
}

// outward returns what is to be encoded of a state.
func (l *loaded) outward(state any) any {
	if l.stored == nil {
		return state
	}
	return reflect.ValueOf(state).Convert(l.stored).Interface()
}

// inward returns a pointer to decode into, for a pointer to a state.
func (l *loaded) inward(state any) any {
	if l.stored == nil {
		return state
	}
	return reflect.ValueOf(state).Convert(reflect.PointerTo(l.stored)).Interface()
}

// with returns a state with the loaded fields of another one.
func (l *loaded) with(state, from any) any {
	v := reflect.New(reflect.TypeOf(state)).Elem()
	v.Set(reflect.ValueOf(state))
	other := reflect.ValueOf(from)
	for _, i := range l.fields {
		v.Field(i).Set(other.Field(i))
	}
	return v.Interface()
}

// Load implements delivery.Program: it has the controller fill the fields that
// are not stored. The hook's own effects are refused, since it runs any number of
// times.
func (p program) Load(ctx context.Context, state any) (any, error) {
	l := &p.page.model.loaded
	if l.hook == nil {
		return state, nil
	}
	inv := invocation{source: sourceLoad, action: onLoad, cause: cause{"load", push.NewID()}}
	hook := func(state any, c *Context) (any, error) {
		c.end()
		return l.hook(state, c)
	}
	out, err := p.page.call(ctx, p.who, hook, state, inv)
	if err != nil {
		p.page.hub.log.WarnContext(ctx, "fields cannot be loaded", "session", push.Redact(p.who.Session), "view", p.page.name, "error", err)
		return nil, errors.Join(delivery.ErrLoad, err)
	}
	return l.with(state, out.state), nil
}
