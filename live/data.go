package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// Has reports whether the data has the field.
func (c *Context) Has(name string) bool {
	_, ok := fieldOf(c.inv.data, name)
	return ok
}

// GetString returns a field of the data: a string as it is, a number or a
// boolean in its JSON form, the first element of a list, else "".
func (c *Context) GetString(name string) string {
	raw, _ := fieldOf(c.inv.data, name)
	if len(raw) > 0 && raw[0] == '[' {
		raw = firstOf(raw) // a form field that occurs several times
	}
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		return textOf(raw)
	case '{', '[', 'n':
		return ""
	default:
		return string(raw)
	}
}

// GetInt returns a field of the data that is a whole number, or a string that
// holds one, as form fields do; else 0.
func (c *Context) GetInt(name string) int {
	text := strings.TrimSpace(c.GetString(name))
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(text, 64)
	if n := int(f); err == nil && float64(n) == f {
		return n
	}
	return 0
}

// GetFloat returns a field of the data that is a number, or a string that holds
// one; else 0.
func (c *Context) GetFloat(name string) float64 {
	f, err := strconv.ParseFloat(strings.TrimSpace(c.GetString(name)), 64)
	if err != nil {
		return 0
	}
	return f
}

// GetBool returns a field of the data: true for true, a number other than zero,
// and what a checked box sends: "on", "true", "yes", "1" or any other text but
// "", "off", "false", "no" and "0".
func (c *Context) GetBool(name string) bool {
	switch strings.ToLower(c.GetString(name)) {
	case "", "0", "false", "off", "no":
		return false
	default:
		return true
	}
}

// Bind decodes the data into v, a pointer, by the rules of encoding/json. Form
// fields arrive as strings: where v has a number or a boolean, the string is
// converted. Unknown fields are ignored.
func (c *Context) Bind(v any) error {
	raw := c.inv.data
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	err := json.Unmarshal(raw, v)
	if _, mismatch := errors.AsType[*json.UnmarshalTypeError](err); mismatch {
		if loose, ok := loosen(raw, reflect.TypeOf(v)); ok {
			err = json.Unmarshal(loose, v)
		}
	}
	if err != nil {
		return fmt.Errorf("live: bind data of %s: %w", c.inv.action, err)
	}
	return nil
}

// loosen rewrites strings of a form to the number or boolean that the target's
// field of the same name wants.
func loosen(raw json.RawMessage, t reflect.Type) (json.RawMessage, bool) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var data map[string]json.RawMessage
	if t == nil || t.Kind() != reflect.Struct || json.Unmarshal(raw, &data) != nil {
		return nil, false
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		key, text, ok := formValue(data, name)
		if !ok {
			continue
		}
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if b, ok := convert(text, ft.Kind()); ok {
			data[key] = b
		}
	}
	loose, err := json.Marshal(data)
	return loose, err == nil
}

// formValue finds a string field by its name, in any case as encoding/json does.
func formValue(data map[string]json.RawMessage, name string) (key, text string, ok bool) {
	for k, raw := range data {
		if strings.EqualFold(k, name) && json.Unmarshal(raw, &text) == nil && len(raw) > 0 && raw[0] == '"' {
			return k, text, true
		}
	}
	return "", "", false
}

// convert writes the JSON of a form field's text for a field of that kind. An
// empty field is an absent one.
func convert(text string, kind reflect.Kind) (json.RawMessage, bool) {
	text = strings.TrimSpace(text)
	switch kind {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		if text == "" {
			return json.RawMessage("null"), true
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var n json.Number
		if dec.Decode(&n) != nil {
			return nil, false
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, false
		}
		return json.RawMessage(n), true
	case reflect.Bool:
		switch strings.ToLower(text) {
		case "", "off", "false", "no", "0":
			return json.RawMessage("false"), true
		default:
			return json.RawMessage("true"), true
		}
	default:
		return nil, false
	}
}
