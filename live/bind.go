package live

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Bind decodes the data into v, a pointer, by the rules of encoding/json. Where
// a value is not of the JSON type that v's has, it is taken as what browsers
// send, text:
//
//   - a number or boolean is read from its text. Empty text is an absent number;
//     a box is true unless its value is "off", "false", "no" or "0";
//   - a time.Time from what date, datetime-local, month and time inputs send, in
//     UTC, or from RFC 3339; a time.Duration from "1h30m" or nanoseconds;
//   - a list from one value, as browsers send it when one box of several is
//     ticked; one value from a list is its first, and a boolean is true if any is;
//   - what implements encoding.TextUnmarshaler gets its text.
//
// Embedded structs, pointers and maps are filled likewise. Unknown fields are
// ignored. An error names the field; what v holds then is not defined.
func (c *Context) Bind(v any) error {
	if err := bind(c.inv.data, v); err != nil {
		return fmt.Errorf("live: bind data of %s: %w", c.inv.action, err)
	}
	return nil
}

func bind(raw json.RawMessage, v any) error {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	err := json.Unmarshal(raw, v)
	if t := reflect.TypeOf(v); err != nil && t != nil && t.Kind() == reflect.Pointer && json.Valid(raw) {
		err = json.Unmarshal(fit(raw, t.Elem()), v)
	}
	return err
}

// browsersTimes are the forms in which browsers send dates and times.
func browsersTimes() []string {
	return []string{
		"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05",
		"2006-01-02", "2006-01", "15:04", "15:04:05",
	}
}

const jsonNull = "null"

func isNull(raw json.RawMessage) bool { return string(raw) == jsonNull }

func isTime(t reflect.Type) bool { return t == reflect.TypeFor[time.Time]() }

func isDuration(t reflect.Type) bool { return t == reflect.TypeFor[time.Duration]() }

// fit rewrites a JSON value so that encoding/json takes it for a t. What it
// cannot make sense of stays, for encoding/json to say why.
func fit(raw json.RawMessage, t reflect.Type) json.RawMessage {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || isNull(raw) {
		return raw
	}
	if t.Kind() == reflect.Pointer {
		return fit(raw, t.Elem())
	}
	switch p := reflect.PointerTo(t); {
	case isTime(t) || isDuration(t):
		return fitText(raw, t)
	case p.Implements(reflect.TypeFor[json.Unmarshaler]()) || t == reflect.TypeFor[[]byte]():
		return raw
	case p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return single(raw)
	}
	switch t.Kind() {
	case reflect.Struct:
		return fitObject(raw, t)
	case reflect.Map:
		return fitMap(raw, t.Elem())
	case reflect.Slice, reflect.Array:
		return fitList(raw, t.Elem())
	case reflect.Bool:
		return fitBool(raw)
	case reflect.Interface:
		return raw
	default:
		return fitText(raw, t)
	}
}

// single is a list's first value, and any other value itself.
func single(raw json.RawMessage) json.RawMessage {
	if raw[0] != '[' {
		return raw
	}
	if first := firstOf(raw); len(first) > 0 {
		return first
	}
	return json.RawMessage(jsonNull)
}

// fitText reads a number, a text or a time from one value.
func fitText(raw json.RawMessage, t reflect.Type) json.RawMessage {
	raw = single(raw)
	if raw[0] != '"' {
		if t.Kind() == reflect.String && raw[0] != '{' && raw[0] != '[' && raw[0] != 'n' {
			return quoted(string(raw)) // a number or boolean where text is wanted
		}
		return raw
	}
	text := strings.TrimSpace(textOf(raw))
	switch {
	case t.Kind() == reflect.String:
		return raw
	case text == "":
		return json.RawMessage(jsonNull)
	case isTime(t):
		return fitTime(raw, text)
	}
	if d, err := time.ParseDuration(text); isDuration(t) && err == nil {
		return json.RawMessage(strconv.FormatInt(int64(d), 10))
	}
	if n, ok := number(text); ok {
		return n
	}
	return raw
}

func fitTime(raw json.RawMessage, text string) json.RawMessage {
	for _, layout := range browsersTimes() {
		if at, err := time.Parse(layout, text); err == nil {
			return quoted(at.Format(time.RFC3339Nano))
		}
	}
	return raw
}

// number writes a decimal number as JSON does: browsers leave a plus, leading
// zeros and a bare point as they were typed.
func number(text string) (json.RawMessage, bool) {
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return nil, false // ParseFloat takes more: inf, nan, hexadecimal
	}
	sign, digits := "", strings.TrimPrefix(text, "+")
	if rest, ok := strings.CutPrefix(digits, "-"); ok {
		sign, digits = "-", rest
	}
	if digits != "" && strings.Trim(digits, "0123456789") == "" {
		if digits = strings.TrimLeft(digits, "0"); digits == "" {
			return json.RawMessage("0"), true
		}
		return json.RawMessage(sign + digits), true // all of them, however many
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, false
	}
	if f == float64(int64(f)) && f < 1<<53 && f > -(1<<53) {
		return json.RawMessage(strconv.FormatInt(int64(f), 10)), true
	}
	return json.RawMessage(strconv.FormatFloat(f, 'g', -1, 64)), true
}

// fitBool is true when any value is: a box may stand behind a hidden field that
// says no.
func fitBool(raw json.RawMessage) json.RawMessage {
	var values []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		values = []json.RawMessage{raw}
	}
	for _, v := range values {
		switch v[0] {
		case '"':
			if truth(textOf(v)) {
				return json.RawMessage("true")
			}
		case '{', '[':
			return raw
		default:
			if truth(string(v)) && !isNull(v) {
				return json.RawMessage("true")
			}
		}
	}
	return json.RawMessage("false")
}

// truth is what a form's text says of a box.
func truth(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "0", "false", "off", "no":
		return false
	default:
		return true
	}
}

// fitList makes a list of one value. An empty text is no value of a list of
// numbers, but one of a list of texts.
func fitList(raw json.RawMessage, elem reflect.Type) json.RawMessage {
	var values []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		values = []json.RawMessage{raw}
	}
	kept := values[:0]
	for _, v := range values {
		fitted := fit(v, elem)
		if isNull(fitted) && !isNull(v) {
			continue
		}
		kept = append(kept, fitted)
	}
	return marshaled(kept, raw)
}

func fitMap(raw json.RawMessage, elem reflect.Type) json.RawMessage {
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return raw
	}
	for k, v := range values {
		values[k] = fit(v, elem)
	}
	return marshaled(values, raw)
}

// fitObject fits the fields of a struct, and those that it embeds.
func fitObject(raw json.RawMessage, t reflect.Type) json.RawMessage {
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return raw
	}
	fitFields(values, t, nil)
	return marshaled(values, raw)
}

// fitFields fits the fields of a struct, and then those of the structs that it
// embeds, as far as its own do not hide them.
func fitFields(values map[string]json.RawMessage, t reflect.Type, hidden map[string]bool) {
	var embedded []reflect.Type
	own := map[string]bool{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		switch {
		case f.Anonymous && name == "" && ft.Kind() == reflect.Struct:
			embedded = append(embedded, ft)
			continue
		case !f.IsExported() || (name == "-" && options == ""):
			continue
		case name == "":
			name = f.Name
		}
		for k, v := range values {
			if !strings.EqualFold(k, name) || hidden[k] { // as encoding/json finds it
				continue
			}
			own[k] = true
			if options != "string" { // then its JSON is a text
				values[k] = fit(v, ft)
			}
		}
	}
	maps.Copy(own, hidden)
	for _, e := range embedded {
		fitFields(values, e, own)
	}
}

func marshaled(v any, or json.RawMessage) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return or
	}
	return b
}

func quoted(text string) json.RawMessage {
	b, _ := json.Marshal(text) //nolint:errchkjson // a text always has JSON
	return b
}
