package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/coder/websocket"

	"lastmile/push"
)

// wireVersion is the version of the wire protocol, docs/protocol.md.
const wireVersion = 1

// Close codes beyond those of the WebSocket standard.
const (
	closeTaken         websocket.StatusCode = 4000
	closeSlow          websocket.StatusCode = 4001
	closeSessionClosed websocket.StatusCode = 4002
	closeVersion       websocket.StatusCode = 4003
	closeIdentity      websocket.StatusCode = 4004
)

// errorCode names what went wrong, for the page's scripts.
type errorCode string

const (
	codeError       errorCode = "error"
	codeRejected    errorCode = "rejected"
	codeUnknown     errorCode = "unknown_action"
	codeRateLimited errorCode = "rate_limited"
	codeTooLarge    errorCode = "too_large"
	codeInvalid     errorCode = "invalid"
	codeDeadLetter  errorCode = "dead_letter"
)

// message is what a browser sends.
type message struct {
	// The first message of a connection has these, and Snapshot. Its Number is the
	// one that the page's next message will have, 0 from clients that do not say.
	Version  int    `json:"v"`
	Token    string `json:"t"`
	Hash     string `json:"h"`
	Manifest string `json:"f"`
	Last     uint64 `json:"s"`

	Action   string          `json:"a"`
	Data     json.RawMessage `json:"d"`
	Number   uint64          `json:"i"`
	Ack      uint64          `json:"k"`
	Snapshot int             `json:"q"`
}

// heartbeat reports whether the message only says that the browser lives.
func (m *message) heartbeat() bool { return m.Action == "" && m.Ack == 0 && m.Snapshot == 0 }

const (
	maxTokenLen = 512
	maxPrintLen = 128
)

// messageError is a message that cannot be accepted.
type messageError struct {
	code   errorCode
	number uint64
	action string
	text   string
}

func (e *messageError) Error() string { return "live: " + e.text }

// decodeMessage reads a browser's message and checks its fields' bounds. The
// error is a *messageError.
func decodeMessage(b []byte, limit int) (message, error) {
	var m message
	if len(b) > limit {
		m.Number = numberOf(b)
		return m, &messageError{code: codeTooLarge, number: m.Number, text: fmt.Sprintf("message of %d bytes, at most %d are allowed", len(b), limit)}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		text := "the message is not a JSON object"
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && mismatch.Field != "" {
			text = fmt.Sprintf("field %q does not take a %s", mismatch.Field, mismatch.Value)
		}
		return m, &messageError{code: codeInvalid, number: m.Number, text: text}
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{{"t", m.Token, maxTokenLen}, {"h", m.Hash, maxPrintLen}, {"f", m.Manifest, maxPrintLen}, {"a", m.Action, push.MaxActionLen}} {
		if len(f.value) > f.limit {
			return m, &messageError{code: codeInvalid, number: m.Number, text: fmt.Sprintf("field %q has %d bytes, at most %d are allowed", f.name, len(f.value), f.limit)}
		}
	}
	if string(m.Data) == "null" {
		m.Data = nil
	}
	if len(m.Data) > 0 && m.Data[0] != '{' {
		return m, &messageError{code: codeInvalid, number: m.Number, action: m.Action, text: `field "d" does not take anything but an object`}
	}
	return m, nil
}

// numberOf reads of a message that is not taken which one it is, 0 for none.
func numberOf(b []byte) uint64 {
	var m struct {
		Number uint64 `json:"i"`
	}
	if json.Unmarshal(b, &m) != nil {
		return 0
	}
	return m.Number
}

// frameError is an error event for the page.
type frameError struct {
	Code   errorCode `json:"c"`
	Text   string    `json:"m"`
	Number uint64    `json:"i,omitempty"`
	Action string    `json:"a,omitempty"`
}

// frame is what the server sends, but for the patch or snapshot.
type frame struct {
	Version   int     `json:"v,omitempty"`
	Seq       uint64  `json:"s"`
	Token     string  `json:"t,omitempty"`
	Remounted int     `json:"re,omitempty"`
	Manifest  string  `json:"f,omitempty"`
	Title     *string `json:"title,omitempty"`
	Events    []event `json:"e,omitempty"`
	Flashes   []Flash `json:"fl,omitempty"`
	Reply     uint64  `json:"i,omitempty"`
	// Seen is the last message that the state has seen, when that is more than
	// what is answered.
	Seen     uint64      `json:"u,omitempty"`
	Error    *frameError `json:"x,omitempty"`
	Navigate *navigate   `json:"n,omitempty"`
}

// bare reports whether there is nothing in the frame but its number, and what
// says something only beside a patch.
func (f *frame) bare() bool {
	return f.Version == 0 && f.Token == "" && f.Remounted == 0 && f.Manifest == "" && f.Title == nil &&
		len(f.Events) == 0 && len(f.Flashes) == 0 && f.Reply == 0 && f.Error == nil && f.Navigate == nil
}

// appendHead writes the frame without its closing brace: a patch or a snapshot
// may follow.
func appendHead(dst []byte, f *frame) ([]byte, error) {
	if f.bare() && f.Seen == 0 {
		dst = append(dst, `{"s":`...)
		return strconv.AppendUint(dst, f.Seq, 10), nil
	}
	head, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("live: encode frame: %w", err)
	}
	return append(dst, head[:len(head)-1]...), nil
}
