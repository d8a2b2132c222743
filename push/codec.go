package push

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// codecVersion is the envelope's version. A field that older programs may
// ignore is added without raising it; a change that they would get wrong
// raises it, and they report ErrVersion.
const codecVersion = 1

// envelope is the stored form of a message. Its session, its ID and its place
// are the store's own.
type envelope struct {
	Version     int             `json:"v"`
	Action      string          `json:"a"`
	Data        json.RawMessage `json:"d"`
	Replaces    string          `json:"r"`
	Final       bool            `json:"f"`
	Traceparent string          `json:"t"`
}

// EncodeMessage returns the form in which transports store m's action, data,
// trace context and Replaces key. Session and ID are not part of it. The data
// must be empty or one valid JSON value, else the error wraps ErrInvalid; its
// bytes are kept as they are.
func EncodeMessage(m Message) ([]byte, error) {
	if len(m.Data) > 0 && !json.Valid(m.Data) {
		return nil, fmt.Errorf("%w: the data of %q is not JSON", ErrInvalid, m.Action)
	}
	b := make([]byte, 0, 48+len(m.Action)+len(m.Data)+len(m.Replaces)+len(m.Traceparent))
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, codecVersion, 10)
	b = appendField(b, "a", m.Action)
	if m.Replaces != "" {
		b = appendField(b, "r", m.Replaces)
	}
	if m.Final {
		b = append(b, `,"f":true`...)
	}
	if m.Traceparent != "" {
		b = appendField(b, "t", m.Traceparent)
	}
	if len(m.Data) > 0 {
		b = append(b, `,"d":`...)
		b = append(b, m.Data...)
	}
	return append(b, '}'), nil
}

// DecodeMessage reads what EncodeMessage wrote. The error wraps ErrDecode, or
// ErrVersion when a newer version of this package wrote it. The message's data
// may be part of b.
func DecodeMessage(b []byte) (Message, error) {
	if m, ok := decodePlain(b); ok {
		return m, nil
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		// A newer version may have changed a field's type.
		var v struct {
			Version int `json:"v"`
		}
		if json.Unmarshal(b, &v) == nil && v.Version > codecVersion {
			return Message{}, fmt.Errorf("%w: %d, at most %d is known", ErrVersion, v.Version, codecVersion)
		}
		return Message{}, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	switch {
	case e.Version > codecVersion:
		return Message{}, fmt.Errorf("%w: %d, at most %d is known", ErrVersion, e.Version, codecVersion)
	case e.Version < 1:
		return Message{}, fmt.Errorf("%w: no version", ErrDecode)
	case e.Action == "":
		return Message{}, fmt.Errorf("%w: no action", ErrDecode)
	}
	if bytes.Equal(e.Data, []byte("null")) {
		e.Data = nil
	}
	return Message{
		Action: e.Action, Data: e.Data, Replaces: e.Replaces, Final: e.Final, Traceparent: e.Traceparent,
	}, nil
}

// decodePlain reads what EncodeMessage writes as long as no name needs quoting,
// by its looks: a node decodes every push that it delivers. The data is part of
// b. It reports false for anything else.
func decodePlain(b []byte) (m Message, ok bool) {
	rest, ok := bytes.CutPrefix(b, plainHead)
	if !ok {
		return m, false
	}
	if m.Action, rest, ok = cutPlain(rest); !ok || m.Action == "" {
		return m, false
	}
	if r, has := bytes.CutPrefix(rest, []byte(`,"r":"`)); has {
		if m.Replaces, rest, ok = cutPlain(r); !ok {
			return m, false
		}
	}
	if r, has := bytes.CutPrefix(rest, []byte(`,"f":true`)); has {
		m.Final, rest = true, r
	}
	if r, has := bytes.CutPrefix(rest, []byte(`,"t":"`)); has {
		if m.Traceparent, rest, ok = cutPlain(r); !ok {
			return m, false
		}
	}
	rest, ok = bytes.CutSuffix(rest, []byte("}"))
	if !ok || len(rest) == 0 {
		return m, ok
	}
	data, ok := bytes.CutPrefix(rest, []byte(`,"d":`))
	if !ok || len(data) < 2 || data[0] != '{' || data[len(data)-1] != '}' || !json.Valid(data) {
		return m, false
	}
	m.Data = data
	return m, true
}

var plainHead = []byte(`{"v":1,"a":"`)

// cutPlain cuts b after a string without escapes, whose opening quote is gone.
func cutPlain(b []byte) (value string, rest []byte, ok bool) {
	for i, c := range b {
		if c == '"' {
			return string(b[:i]), b[i+1:], true
		}
		if c < ' ' || c > '~' || c == '\\' {
			break
		}
	}
	return "", nil, false
}

// appendField appends a member with a string value.
func appendField(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) //nolint:errchkjson // a string always marshals
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"')
}
