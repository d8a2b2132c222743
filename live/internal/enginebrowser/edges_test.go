package enginebrowser_test

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

// edge is a page on which HTML parsers do more than the source says, and a walk
// through states.
type edge struct {
	name, page string
	states     []enginetest.State
	irregular  string // what the developer is told, for pages that are not patched part by part
	as         string // the page that html/template prints the same as, once it is parsed
}

var (
	newlines = []enginetest.State{
		{S: "plain"},
		{S: "\nfirst"},
		{S: "\n\ntwo"},
		{S: ""},
		{S: "\n"},
		{S: "a\n"},
		{S: "\n<b>"},
		{A: true, S: "\nlast"},
		{A: true, S: "x"},
	}
	lines = []enginetest.State{
		{Words: []string{"a", "\nb"}},
		{Words: []string{"\na", "b"}},
		{S: "\nx"},
		{Words: []string{"\n", "\nb"}},
		{Words: []string{"\n\n", "\nb"}, S: "\nx"},
		{Words: []string{"x"}},
	}
	trustedLines = []enginetest.State{
		{HTML: "a"},
		{HTML: "\n<b>b</b>"},
		{HTML: "\nx"},
		{HTML: "\n\n<b>x</b>"},
		{HTML: "\n"},
		{HTML: ""},
	}
	lists = []enginetest.State{
		{Words: []string{"a", "b", "c"}},
		{Words: []string{"c", "b", "a"}},
		{Words: []string{"x", "c", "a", "y"}},
		{},
		{Words: []string{"a"}},
		{Words: []string{"a", "b", "c"}, A: true},
	}
	trusted = []enginetest.State{
		{HTML: "text"},
		{HTML: "<b>bold</b> and <i>more</i>"},
		{HTML: "<b>bold</b> and <i>less</i>"},
		{},
		{HTML: "a &amp; b"},
		{HTML: "<p>one</p><p>two</p>"},
		{HTML: "<script>document.title = 'ran'</script>"},
		{A: true, HTML: "<b>x</b>"},
		{HTML: "<tr>"},
	}
)

var edges = []edge{
	{name: "newline in pre", page: `<pre>{{.S}}</pre>`, states: newlines},
	{name: "newline in pre behind an element", page: `<pre><b>b</b>{{.S}}{{if .A}}<b>b</b>{{end}}{{.S}}</pre>`, states: newlines},
	{name: "fixed newline in pre", page: "<pre>\n{{.S}}</pre><pre>\n\n{{.S}}</pre>", states: newlines},
	{name: "newline in pre behind a branch", page: `<pre>{{if .A}}<b>b</b>{{end}}{{.S}}</pre>`, states: newlines, irregular: "page:1:31: "},
	{name: "fixed newline in pre behind a branch", page: "<pre>{{if .A}}<b>b</b>{{end}}\n{{.S}}</pre>", states: newlines, irregular: "page:1:10: "},
	{name: "newline in pre behind a branch that is never empty", page: `<pre>{{if .A}}<b>b</b>{{else}}c{{end}}{{.S}}</pre>`, states: newlines},
	{name: "newline in pre in a branch", page: `<pre>{{with .S}}{{.}}{{else}}none{{end}}</pre>`, states: newlines, irregular: "page:1:12: "},
	{name: "newline in pre in branches", page: `<pre>{{if .A}}{{with .S}}{{.}}{{end}}x{{else}}{{with .S}}{{.}}{{end}}{{end}}</pre>`, states: newlines, irregular: "page:1:10: "},
	{name: "newline in pre behind a value", page: "<pre>{{.S}}{{if .A}}\n{{end}}</pre>", states: newlines, irregular: "page:1:16: "},
	{name: "newline in listing in rows", page: `<listing>{{range .Words}}{{.}}{{end}}{{.S}}</listing>`, states: lines, irregular: "page:1:17: "},
	{name: "newline in pre in a template", page: `{{define "x"}}{{.S}}{{end}}<pre>{{template "x" .}}</pre>`, states: newlines, irregular: "page:1:43: "},
	{name: "newline in trusted pre", page: `<pre>{{.HTML}}</pre>`, states: trustedLines},
	{name: "newline in trusted listing", page: `<listing>{{.HTML}}</listing>`, states: trustedLines[1:]},
	{name: "newline in textarea in a branch", page: `<textarea>{{if .A}}a{{end}}{{range .Words}}{{.}}{{end}}{{.S}}</textarea>`, states: append(newlines, lines...)},
	{name: "newline in listing", page: `<listing>{{.S}}</listing>`, states: newlines},
	{name: "newline in textarea", page: `<textarea>{{.S}}</textarea>`, states: newlines},
	{name: "newline in made textarea", page: `{{if .A}}<p><textarea>{{.S}}</textarea><pre>{{.S}}</pre></p>{{end}}`, states: newlines, irregular: "page:1:9: "},
	{
		name: "implied tbody", page: `<table>{{range .Words}}<tr data-key="{{.}}"><td>{{.}}</td></tr>{{end}}</table>`, states: lists,
		as: `<table><tbody>{{range .Words}}<tr data-key="{{.}}"><td>{{.}}</td></tr>{{end}}</tbody></table>`,
	},
	{name: "quotes in a branch", page: `<p title={{if .A}}"{{.S}}"{{else}}'none'{{end}} class="x">x</p>`, states: append(newlines, enginetest.State{A: true, S: "a b"}), irregular: "page:1:"},
	{name: "own tbody", page: `<table><tbody>{{range .Words}}<tr data-key="{{.}}"><td>{{.}}</td></tr>{{end}}</tbody></table>`, states: lists},
	{name: "rows of several parts", page: `<table>{{range .Words}}<tbody data-key="{{.}}"><tr><th>{{.}}</th></tr></tbody>{{end}}</table>`, states: lists},
	{name: "cells", page: `<table><tbody><tr>{{range .Words}}<td>{{.}}</td>{{end}}</tr></tbody></table>`, states: lists},
	{name: "unclosed items", page: `<ul>{{range .Words}}<li>{{.}}{{end}}</ul>`, states: lists, irregular: "<ul>"},
	{name: "terms", page: `<dl>{{range .Words}}<dt data-key="{{.}}">{{.}}</dt><dd>{{.}}</dd>{{end}}</dl>`, states: lists},
	{name: "options", page: `<select>{{range .Words}}<option value="{{.}}"{{if eq . "a"}} selected{{end}}>{{.}}</option>{{end}}</select>`, states: lists},
	{name: "block in a paragraph", page: `<p>{{if .A}}<div>d</div>{{end}}{{range .Words}}{{.}} {{end}}</p>`, states: lists, irregular: "page:1:12: "},
	{name: "texts side by side", page: `<p>{{range .Words}}{{.}}{{if $.A}}!{{end}}{{end}} end {{with .Words}}{{len .}}{{end}}</p>`, states: lists},
	{name: "trusted HTML", page: `<div>{{.HTML}}</div><p>a {{.HTML}} b</p>`, states: trusted[:5]},
	{name: "trusted HTML of all kinds", page: `<div>{{if .A}}<i>{{.HTML}}</i>{{end}}<section>{{.HTML}}</section></div>`, states: trusted},
	{name: "title in svg", page: `<svg viewBox="0 0 9 9"><title>{{.S}}</title><linearGradient id="g"></linearGradient>{{if .A}}<text x="1">{{.S}}</text>{{end}}</svg>`, states: newlines},
	{name: "page of one text", page: `{{.S}}`, states: newlines},
	{name: "page of nothing else", page: `{{if .A}}{{.S}}{{end}}`, states: newlines},
	{name: "rows that are forms", page: `<div>{{range .Words}}<form data-key="{{.}}"><input name="remove"><input name="nextSibling"><input name="parentNode" value="{{.}}"></form>{{end}}</div>`, states: lists},
	{name: "template", page: `<div><template><p title="{{.S}}">{{.S}}</p>{{if .A}}<b>b</b>{{end}}</template>{{.S}}</div>`, states: newlines, irregular: "page:1:0: "},
	{name: "template of rows", page: `<div><template>{{range .Words}}<li data-key="{{.}}">{{.}}</li>{{end}}</template></div>`, states: lists, irregular: "page:1:0: "},
	{name: "mathml", page: `<math><mi>{{.S}}</mi>{{if .A}}<mn mathvariant="bold">{{.S}}</mn>{{end}}<annotation-xml encoding="text/html"><b>{{.S}}</b></annotation-xml></math>`, states: newlines},
	{name: "html in svg", page: `<svg><foreignObject>{{if .A}}<p class="x">{{.S}}</p>{{end}}</foreignObject>{{range .Words}}<a href="/{{.}}">{{.}}</a>{{end}}<style>.x{}</style></svg>`, states: append(newlines, lists...)},
	{name: "noscript", page: `<div><noscript><p>{{.S}}</p></noscript>{{.S}}</div>`, states: newlines},
	{name: "frames", page: `<div><iframe srcdoc="{{.S}}" title="{{.S}}">{{.S}}</iframe>{{if .A}}<iframe title="x"></iframe>{{end}}<object data="data:,"><param name="x" value="{{.S}}">{{.S}}</object></div>`, states: newlines},
	{name: "media", page: `<video controls>{{range .Words}}<source data-n="{{.}}" src="data:,">{{end}}{{.S}}</video><picture>{{if .A}}<source srcset="data:,">{{end}}<img alt="{{.S}}"></picture>`, states: append(lists, newlines...)},
	{name: "popovers and dialogs", page: `<button popovertarget="p">{{.S}}</button><div id="p" popover{{if .A}}="manual"{{end}}>{{.S}}</div><dialog{{if .A}} open{{end}}>{{.S}}</dialog>`, states: newlines},
	{name: "slots of a custom element", page: `<x-card>{{if .A}}<b slot="title">{{.S}}</b>{{end}}{{range .Words}}<i data-key="{{.}}">{{.}}</i>{{end}}</x-card>`, states: append(lists, newlines...)},
	{name: "old elements", page: `<center>{{.S}}</center><font color="{{.S}}">{{.S}}</font><nobr>{{if .A}}<b>{{.S}}</b>{{end}}</nobr><marquee>{{.S}}</marquee>`, states: newlines},
	{name: "headings and lists", page: `<ol reversed{{if .A}} start="3"{{end}}>{{range .Words}}<li value="1"><p>{{.}}</p></li>{{end}}</ol><menu>{{.S}}</menu><hgroup>{{if .A}}<h1>{{.S}}</h1>{{end}}</hgroup>`, states: append(lists, newlines...)},
	{name: "table with caption and columns", page: `<table>{{if .A}}<caption>{{.S}}</caption>{{end}}<colgroup>{{range .Words}}<col class="{{.}}">{{end}}</colgroup><thead><tr><th>{{.S}}</th></tr></thead><tfoot>{{if .A}}<tr><td>{{.S}}</td></tr>{{end}}</tfoot></table>`, states: append(lists, newlines...)},
	{name: "groups of options", page: `<select>{{if .A}}<optgroup label="{{.S}}">{{range .Words}}<option>{{.}}</option>{{end}}</optgroup>{{end}}<hr></select><datalist>{{range .Words}}<option value="{{.}}"></option>{{end}}</datalist>`, states: append(lists, newlines...)},
	{name: "ruby", page: `<ruby>{{.S}}<rp>(</rp><rt>{{.S}}</rt><rp>)</rp></ruby><p>{{.S}}<wbr>{{.S}}<br>{{if .A}}<bdo dir="rtl">{{.S}}</bdo>{{end}}</p>`, states: newlines},
	{name: "page of rows", page: `{{range .Words}}<p data-key="{{.}}">{{.}}</p>{{end}}`, states: lists},
}

// TestBrowserEdges runs the edges like the random vectors, with a snapshot of
// each state besides.
func TestBrowserEdges(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	vectors := make([]vector, len(edges))
	for i, e := range edges {
		vectors[i] = newEdge(t, e)
	}
	for i, problem := range call[[]string](ctx, t, "runVectors", vectors) {
		if problem != "" {
			t.Errorf("%s: %s\nmanifest %s\nmarked %s", edges[i].name, problem, vectors[i].Manifest, vectors[i].Marked)
		}
	}
}

func newEdge(t *testing.T, e edge) vector {
	t.Helper()
	set, err := engine.Compile(enginetest.MustParse(e.page), reflect.TypeFor[enginetest.State](), engine.Options{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	notes := set.Diagnostics()
	if told := slices.ContainsFunc(notes, func(s string) bool { return e.irregular != "" && strings.Contains(s, e.irregular) }); told != (len(notes) > 0) {
		t.Errorf("%s: the developer is told %q, want to hear of %q", e.name, notes, e.irregular)
	}
	plain := enginetest.MustParse(cmp.Or(e.as, e.page))
	view := set.NewView()
	html, err := view.HTML(nil, e.states[0])
	if err != nil {
		t.Fatal(err)
	}
	v := vector{Manifest: string(set.Manifest()), Marked: string(html), Steps: []step{{Want: print(t, plain, e.states[0])}}}
	for _, state := range append(e.states[1:len(e.states):len(e.states)], e.states[0]) {
		s := step{Want: print(t, plain, state)}
		out, changed, err := view.Patch(nil, state)
		if err != nil {
			t.Fatal(err)
		}
		if changed {
			s.Patch = string(out)
		}
		again, err := set.NewView().Snapshot(nil, state)
		if err != nil {
			t.Fatal(err)
		}
		v.Steps = append(v.Steps, s, step{Snapshot: string(again), Same: true, Want: s.Want})
	}
	last, err := set.NewView().Snapshot(nil, e.states[1])
	if err != nil {
		t.Fatal(err)
	}
	v.Steps = append(v.Steps, step{Snapshot: string(last), Want: print(t, plain, e.states[1])})
	return v
}
