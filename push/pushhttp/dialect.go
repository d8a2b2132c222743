package pushhttp

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"lastmile/push"
)

// form is what events hold.
type form string

const (
	// formJSON has the action as the event's name and the push's data.
	formJSON form = ""
	// formHTML has fragments in events without a name: what Turbo's stream source
	// and htmx put into the page by themselves.
	formHTML form = "html"
	// formDatastar has fragments in the events that Datastar knows.
	formDatastar form = "datastar"
)

// dialect is how events are written for a kind of client.
type dialect struct {
	form form
	// place is where Datastar puts fragments, as lines of its events. None means
	// in place of the element that has the fragment's id.
	place []string
}

// maxSelector bounds a selector, in bytes.
const maxSelector = 256

// dialectOf reads the parameters "as", "selector" and "mode" of a reader. The place
// of fragments is the page's to say, as it is with htmx and Turbo.
func (h *Handler) dialectOf(query url.Values) (dialect, *problem) {
	as, selector, mode := form(query.Get("as")), query.Get("selector"), query.Get("mode")
	switch {
	case as == formJSON, as == "json":
		return dialect{}, nil
	case as != formHTML && as != formDatastar, h.cfg.Render == nil:
		return dialect{}, newProblem(http.StatusBadRequest, "as", "as is json, or html or datastar where the program renders fragments.")
	case as == formHTML:
		return dialect{form: as}, nil
	case len(selector) > maxSelector || strings.ContainsAny(selector, "\r\n"):
		return dialect{}, newProblem(http.StatusBadRequest, "selector", fmt.Sprintf("selector is one line of %d bytes at most.", maxSelector))
	}
	d := dialect{form: as}
	if selector != "" {
		d.place = append(d.place, "selector "+selector)
	}
	switch mode {
	case "":
	case "outer", "inner", "replace", "prepend", "append", "before", "after":
		d.place = append(d.place, "mode "+mode)
	default:
		return dialect{}, newProblem(http.StatusBadRequest, "mode", "mode is outer, inner, replace, prepend, append, before or after.")
	}
	return d, nil
}

// event appends an event to b. Without an ID the reader's place stays.
func (d dialect) event(b []byte, id string, e push.Entry, html string) []byte {
	if id != "" {
		b = fmt.Appendf(b, "id: %s\n", id)
	}
	switch d.form {
	case formHTML:
		b = lines(b, "data: ", html)
	case formDatastar:
		b = append(b, "event: datastar-patch-elements\n"...)
		for _, line := range d.place {
			b = fmt.Appendf(b, "data: %s\n", line)
		}
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
