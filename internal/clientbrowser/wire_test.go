package clientbrowser_test

import (
	"encoding/json"
	"strings"
)

// counter opens every page of these tests: one dynamic text in static HTML.
const counter = `<output id="count">{0}</output>`

// rendered is the first HTML of a page.
func rendered(content, value string) string {
	return strings.ReplaceAll(counter+content, "{0}", value)
}

// manifest describes a page to the client.
func manifest(content string) string {
	text, _ := json.Marshal(obj{"blocks": []any{content}})
	return string(text)
}

// patch sets the text to a value.
func patch(value string) any { return []any{[]any{"#count", value}} }

// snapshot is the whole page with that value.
func snapshot(value string) any { return patch(value) }

// impossible is a patch that fits no page.
func impossible() any { return []any{[]any{"#nowhere", "1"}} }
