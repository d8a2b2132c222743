// Package liveview writes Phoenix LiveView's diffs without Elixir: the format
// that its server sends since 1.1 and its published client merges. Only equality
// of values decides what is sent, as if LiveView's change tracking never sent a
// value again that had not changed; the channel's envelope, about 45 bytes a
// frame, is left out. Both flatter LiveView.
//
// In short: "s" holds statics, a number is a place, "k" the rows of a keyed
// comprehension by their new index with their count "kc"; a row that kept its
// values is its old index, one that moved and changed is [old index, diff], and
// "km" says that some row moved. Blocks inside a comprehension share their
// statics through "p".
package liveview

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Block is a run of a template: its fixed texts with a part between each two.
// A part is a string, a *Block or a *Rows.
type Block struct {
	Statics []string
	Parts   []any
}

// Rows is a keyed comprehension: rows of one shape.
type Rows struct {
	Statics []string
	Entries []Entry
}

// Entry is a row.
type Entry struct {
	Key   string
	Parts []any
}

// HTML returns what a browser shows for b.
func (b *Block) HTML() string {
	var w strings.Builder
	appendHTML(&w, b.Statics, b.Parts)
	return w.String()
}

func appendHTML(w *strings.Builder, statics []string, parts []any) {
	for i, part := range parts {
		w.WriteString(statics[i])
		switch p := part.(type) {
		case string:
			w.WriteString(p)
		case *Block:
			appendHTML(w, p.Statics, p.Parts)
		case *Rows:
			for _, e := range p.Entries {
				appendHTML(w, p.Statics, e.Parts)
			}
		}
	}
	w.WriteString(statics[len(statics)-1])
}

// Join returns the whole of b, as it is sent when a page connects.
func Join(b *Block) ([]byte, error) { return encode(whole(b, nil)) }

// Diff returns what turns old into next, two runs of one template.
func Diff(old, next *Block) ([]byte, error) {
	return encode(diffParts(old.Parts, next.Parts, nil))
}

func encode(v any) ([]byte, error) {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(w.Bytes(), []byte("\n")), nil
}

type object = map[string]any

// templates are the statics that the blocks of one comprehension share.
type templates struct{ list [][]string }

func (t *templates) share(statics []string) any {
	if t == nil {
		return statics
	}
	for i, s := range t.list {
		if slices.Equal(s, statics) {
			return i
		}
	}
	t.list = append(t.list, statics)
	return len(t.list) - 1
}

func (t *templates) addTo(o object) {
	if len(t.list) == 0 {
		return
	}
	p := object{}
	for i, s := range t.list {
		p[strconv.Itoa(i)] = s
	}
	o["p"] = p
}

func whole(part any, t *templates) any {
	switch p := part.(type) {
	case *Block:
		o := wholeParts(p.Parts, t)
		o["s"] = t.share(p.Statics)
		return o
	case *Rows:
		if len(p.Entries) == 0 {
			return ""
		}
		return wholeRows(p, t)
	default:
		return p
	}
}

func wholeParts(parts []any, t *templates) object {
	o := object{}
	for i, part := range parts {
		o[strconv.Itoa(i)] = whole(part, t)
	}
	return o
}

func wholeRows(r *Rows, t *templates) object {
	inner := t
	if inner == nil {
		inner = &templates{}
	}
	k := object{"kc": len(r.Entries)}
	for i, e := range r.Entries {
		k[strconv.Itoa(i)] = wholeParts(e.Parts, inner)
	}
	o := object{"k": k, "s": t.share(r.Statics)}
	if t == nil {
		inner.addTo(o)
	}
	return o
}

func diffParts(old, next []any, t *templates) object {
	o := object{}
	for i := range next {
		if v := diffPart(old[i], next[i], t); v != nil {
			o[strconv.Itoa(i)] = v
		}
	}
	return o
}

// diffPart returns nil when nothing is to be sent.
func diffPart(old, next any, t *templates) any {
	switch n := next.(type) {
	case string:
		if old == next {
			return nil
		}
	case *Block:
		if o, ok := old.(*Block); ok && slices.Equal(o.Statics, n.Statics) {
			if d := diffParts(o.Parts, n.Parts, t); len(d) > 0 {
				return d
			}
			return nil
		}
	case *Rows:
		// A comprehension that was empty at first has sent no statics.
		if o, ok := old.(*Rows); ok && len(o.Entries) > 0 {
			return diffRows(o, n, t)
		}
	}
	return whole(next, t)
}

func diffRows(old, next *Rows, t *templates) any {
	inner := t
	if inner == nil {
		inner = &templates{}
	}
	was := make(map[string]int, len(old.Entries))
	for i, e := range old.Entries {
		was[e.Key] = i
	}
	k := object{}
	for i, e := range next.Entries {
		from, known := was[e.Key]
		if !known {
			k[strconv.Itoa(i)] = wholeParts(e.Parts, inner)
			continue
		}
		d := diffParts(old.Entries[from].Parts, e.Parts, inner)
		switch {
		case from == i && len(d) > 0:
			k[strconv.Itoa(i)] = d
		case from != i && len(d) > 0:
			k[strconv.Itoa(i)], k["km"] = []any{from, d}, true
		case from != i:
			k[strconv.Itoa(i)], k["km"] = from, true
		}
	}
	if len(k) == 0 && len(next.Entries) > 0 && len(next.Entries) == len(old.Entries) {
		return nil
	}
	k["kc"] = len(next.Entries)
	o := object{"k": k}
	if t == nil {
		inner.addTo(o)
	}
	return o
}
