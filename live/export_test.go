package live

import (
	"encoding/json"

	"lastmile/push"
)

// FieldOf lets the fuzzer at the reader of actions' data.
func FieldOf(object json.RawMessage, name string) (json.RawMessage, bool) {
	return fieldOf(object, name)
}

// DecodeMessage lets the fuzzer at the decoder of what browsers send.
func DecodeMessage(b []byte, limit int) (action string, err error) {
	m, err := decodeMessage(b, limit)
	return m.Action, err
}

// BehindAfterUndo reports whether a page still catches up with a store that has
// fallen back, after a topic message and a push are put back in line.
func BehindAfterUndo(own, at, undone push.Seq) bool {
	h := heir{own: own, at: at}
	h.undone([]*item{{topic: true}, {entry: push.Entry{Seq: undone}}})
	return h.behind()
}
