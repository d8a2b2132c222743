package live

import "encoding/json"

// FieldOf lets the fuzzer at the reader of actions' data.
func FieldOf(object json.RawMessage, name string) (json.RawMessage, bool) {
	return fieldOf(object, name)
}

// DecodeMessage lets the fuzzer at the decoder of what browsers send.
func DecodeMessage(b []byte, limit int) (action string, err error) {
	m, err := decodeMessage(b, limit)
	return m.Action, err
}

// BindData is what Context.Bind does with its data.
func BindData(raw []byte, v any) error { return bind(raw, v) }
