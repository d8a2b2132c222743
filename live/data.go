package live

import (
	"encoding/json"
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
	return scalar(raw)
}

// scalar is the text of a value that is no list or object.
func scalar(raw json.RawMessage) string {
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

// GetStrings returns all values of a field of the data, each as GetString has
// it: browsers send one value of a group as a text and several as a list. It is
// nil when the data lacks the field.
func (c *Context) GetStrings(name string) []string {
	raw, ok := fieldOf(c.inv.data, name)
	if !ok {
		return nil
	}
	var values []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		return []string{c.GetString(name)}
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = scalar(v)
	}
	return texts
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
	return truth(c.GetString(name))
}
