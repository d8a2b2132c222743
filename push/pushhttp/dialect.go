package pushhttp

import (
	"bytes"
	"fmt"
	"strings"

	"lastmile/push"
)

// dialect is how events are written for a kind of client.
type dialect string

const (
	// dialectJSON has the action as the event's name and the push's data.
	dialectJSON dialect = ""
	// dialectHTML has fragments in events without a name: what Turbo's stream
	// source and htmx put into the page by themselves.
	dialectHTML dialect = "html"
	// dialectDatastar has fragments in the events that Datastar knows.
	dialectDatastar dialect = "datastar"
)

// dialectOf reads the parameter "as" of a reader.
func (h *Handler) dialectOf(as string) (dialect, *problem) {
	switch d := dialect(as); d {
	case dialectJSON, "json":
		return dialectJSON, nil
	case dialectHTML, dialectDatastar:
		if h.cfg.Render != nil {
			return d, nil
		}
	}
	return "", newProblem(400, "as", "as is json, or html or datastar where the program renders fragments.")
}

// event appends an event to b.
func (d dialect) event(b []byte, id string, e push.Entry, html string) []byte {
	b = fmt.Appendf(b, "id: %s\n", id)
	switch d {
	case dialectHTML:
		b = lines(b, "data: ", html)
	case dialectDatastar:
		b = append(b, "event: datastar-patch-elements\n"...)
		b = lines(b, "data: elements ", html)
	default:
		b = fmt.Appendf(b, "event: %s\n", e.Action)
		b = lines(b, "data: ", string(dataOf(e)))
	}
	return append(b, '\n')
}

// control appends an event that is no push: reset, stopping, closed or expired.
// Where events without a name go into the page it has a name, which only
// listeners hear.
func control(b []byte, name, id string, retry int) []byte {
	b = fmt.Appendf(b, "event: %s\n", name)
	if id != "" {
		b = fmt.Appendf(b, "id: %s\n", id)
	}
	if retry > 0 {
		b = fmt.Appendf(b, "retry: %d\n", retry)
	}
	return append(b, "data: {}\n\n"...)
}

// lines appends a field for each line of the text.
func lines(b []byte, field, text string) []byte {
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
		b = append(append(append(b, field...), line...), '\n')
	}
	return b
}

// dataOf returns a push's data: an empty object when it has none.
func dataOf(e push.Entry) []byte {
	if data := bytes.TrimSpace(e.Data); len(data) > 0 {
		return data
	}
	return []byte("{}")
}
