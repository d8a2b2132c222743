package engine

import (
	"errors"
	"html/template"
	"reflect"
	"unsafe"
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
	return d.d.diff(dst, old.base, new.base, nil)
}

// Retained returns the bytes that a view keeps between renders.
func (v *View) Retained() int {
	b := v.base
	return int(unsafe.Sizeof(*v)+unsafe.Sizeof(*b)) + cap(b.buf) + int(unsafe.Sizeof(span{}))*cap(b.spans) +
		int(unsafe.Sizeof(instance{}))*cap(b.insts) + int(unsafe.Sizeof(plan{}))*cap(b.plans) + 8*cap(b.hashes)
}

// Memos returns the number of memoised ranges.
func (s *Set) Memos() int { return len(s.memos) }

// AppendEscaped is how typed printing escapes.
func AppendEscaped(w, s []byte) []byte { return appendEscaped(w, s) }

// SharedHits returns how often a render was found, and how many are known.
func (s *Set) SharedHits() (hits, renders int) {
	if s.shared == nil {
		return 0, 0
	}
	return s.shared.Stats()
}

// SharesTree says whether two views hold one tree.
func (v *View) SharesTree(o *View) bool { return v.base == o.base }
