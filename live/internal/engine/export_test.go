package engine

import (
	"errors"
	"html/template"
	"reflect"
)

// CompileWithoutMarkers compiles as if the standard library no longer handed
// template text to the writer as it is.
func CompileWithoutMarkers(t *template.Template, state reflect.Type) (*Set, error) {
	return compile(t, state, Options{}, errors.New("markers do not arrive"))
}

// Differ diffs views' bases without rendering.
type Differ struct{ d differ }

// Diff appends the patch from one view's base to another's.
func (d *Differ) Diff(dst []byte, old, new *View) ([]byte, bool) {
	return d.d.diff(dst, &old.base, &new.base)
}

// Retained returns the bytes that a view keeps between renders.
func (v *View) Retained() int {
	b := &v.base
	return cap(b.buf) + 8*cap(b.spans) + 16*cap(b.insts) + 40*cap(b.plans) + 8*cap(b.hashes)
}

// Memos returns the number of memoised ranges.
func (s *Set) Memos() int { return len(s.memos) }

// AppendEscaped is how typed printing escapes.
func AppendEscaped(w, s []byte) []byte { return appendEscaped(w, s) }
