package clientbrowser_test

import (
	"encoding/json"
	"strings"
)

// counter opens every page of these tests: one dynamic text in static HTML.
const counter = `<output id="count">{0}</output>`

// rendered is the first HTML of a page. Its one text unit fills an element, so
// it needs no region comments.
func rendered(content, value string) string {
	return strings.ReplaceAll(counter+content, "{0}", value)
}

// manifest describes a page to the client: one block with one text unit.
func manifest(content string) string {
	const mark = "\uFDD0" // surrounds a unit's number in a skeleton
	text, _ := json.Marshal(obj{"v": 1, "r": 0, "b": []any{
		obj{"h": rendered(content, mark+"0"+mark), "u": []any{"T"}},
	}})
	return string(text)
}

// patch sets the text to a value.
func patch(value string) any { return []any{0, value} }

// snapshot is the whole page with that value.
func snapshot(value string) any { return []any{-1, value} }

// impossible is a patch that fits no page.
func impossible() any { return []any{7, "1"} }

// text is a value as JSON.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
