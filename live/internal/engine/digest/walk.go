package digest

import (
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// maxParts and maxDepth bound a walk, also one over a value that refers to
// itself.
const (
	maxParts = 1 << 20
	maxDepth = 500
)

// Of returns the digest of a value whose type p is the plan of. types returns
// the plan for the type of a value in an interface, or nil to refuse it. ok is
// false when the value holds what cannot be hashed, or too much.
func (k *Keys) Of(p *Plan, value any, types func(reflect.Type) *Plan) (d Digest, ok bool) {
	w := walk{keys: k, types: types, budget: maxParts}
	v := reflect.ValueOf(value)
	c := reflect.New(v.Type()) // a copy that has an address
	c.Elem().Set(v)
	d = w.value(k.start(), p, c.UnsafePointer())
	return d, !w.failed
}

// Rows appends to dst a hash of each element of the slice v; p is the plan of
// its elements, and flat.
func (k *Keys) Rows(dst []uint64, p *Plan, v reflect.Value) []uint64 {
	first := v.UnsafePointer()
	for i := range v.Len() {
		dst = append(dst, k.flat(k.start(), p, unsafe.Add(first, uintptr(i)*p.size)).a)
	}
	return dst
}

// flat adds a value that refers to no other memory than its strings.
func (k *Keys) flat(s Digest, p *Plan, at unsafe.Pointer) Digest {
	for i := range p.parts {
		n := &p.parts[i]
		if n.kind == stringKind {
			s = k.text(s, stringAt(unsafe.Add(at, n.offset)))
		} else {
			s = k.word(s, wordAt(unsafe.Add(at, n.offset), n.size))
		}
	}
	return s
}

func wordAt(at unsafe.Pointer, size int) uint64 {
	switch size {
	case 8:
		return *(*uint64)(at)
	case 4:
		return uint64(*(*uint32)(at))
	case 2:
		return uint64(*(*uint16)(at))
	default:
		return uint64(*(*uint8)(at))
	}
}

func stringAt(at unsafe.Pointer) []byte {
	s := *(*string)(at)
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// walk is one pass over a value.
type walk struct {
	keys   *Keys
	types  func(reflect.Type) *Plan
	budget int // parts that may still be visited
	depth  int
	failed bool
}

// value adds the value at an address.
func (w *walk) value(s Digest, p *Plan, at unsafe.Pointer) Digest {
	if p.flat {
		return w.keys.flat(s, p, at)
	}
	w.budget--
	w.depth++
	defer func() { w.depth-- }()
	w.failed = w.failed || w.budget < 0 || w.depth > maxDepth
	for i := range p.parts {
		if w.failed {
			return s
		}
		s = w.part(s, &p.parts[i], unsafe.Add(at, p.parts[i].offset))
	}
	return s
}

func (w *walk) part(s Digest, n *part, at unsafe.Pointer) Digest {
	switch n.kind {
	case wordKind:
		return w.keys.word(s, wordAt(at, n.size))
	case stringKind:
		return w.keys.text(s, stringAt(at))
	case bytesKind:
		b := *(*[]byte)(at)
		return w.keys.text(w.present(s, b != nil), b)
	case timeKind:
		return w.time(s, (*time.Time)(at))
	case arrayKind:
		return w.elements(s, n.elem, at, n.size)
	case sliceKind:
		v := reflect.NewAt(n.typ, at).Elem()
		return w.elements(w.present(s, !v.IsNil()), n.elem, v.UnsafePointer(), v.Len())
	case pointerKind:
		to := *(*unsafe.Pointer)(at)
		if s = w.present(s, to != nil); to == nil {
			return s
		}
		return w.value(s, n.elem, to)
	case mapKind:
		return w.entries(s, n, reflect.NewAt(n.typ, at).Elem())
	default:
		return w.dynamic(s, reflect.NewAt(n.typ, at).Elem().Elem())
	}
}

// present tells nil from empty, because templates can.
func (w *walk) present(s Digest, is bool) Digest {
	if is {
		return w.keys.word(s, 1)
	}
	return w.keys.word(s, 0)
}

func (w *walk) elements(s Digest, p *Plan, first unsafe.Pointer, n int) Digest {
	s = w.keys.word(s, u64(n))
	w.budget -= n
	for i := range n { // from the first: a pointer past the last must never exist
		if w.budget < 0 || w.failed {
			w.failed = true
			return s
		}
		s = w.value(s, p, unsafe.Add(first, uintptr(i)*p.size))
	}
	return s
}

// entries adds a map's entries. Their order does not matter: their digests are
// summed.
func (w *walk) entries(s Digest, n *part, v reflect.Value) Digest {
	s = w.keys.word(w.present(s, !v.IsNil()), u64(v.Len()))
	w.budget -= v.Len()
	var sum Digest
	key, elem := reflect.New(n.typ.Key()).Elem(), reflect.New(n.typ.Elem()).Elem()
	for it := v.MapRange(); it.Next() && !w.failed; {
		key.SetIterKey(it)
		elem.SetIterValue(it)
		e := w.value(w.keys.start(), n.key, key.Addr().UnsafePointer())
		e = w.value(e, n.elem, elem.Addr().UnsafePointer())
		sum.a, sum.b = sum.a+e.a, sum.b+e.b
	}
	return w.keys.word(w.keys.pair(s, sum.a, sum.b), 0)
}

// dynamic adds the value in an interface, and its type.
func (w *walk) dynamic(s Digest, v reflect.Value) Digest {
	if s = w.present(s, v.IsValid()); !v.IsValid() {
		return s
	}
	p := w.types(v.Type())
	if p == nil {
		w.failed = true
		return s
	}
	c := reflect.New(v.Type())
	c.Elem().Set(v)
	s = w.keys.word(s, uint64(uintptr(reflect.ValueOf(v.Type()).UnsafePointer())))
	return w.value(s, p, c.UnsafePointer())
}

// time adds a time in UTC or in the local zone. It refuses any other zone:
// whether two of those are equal cannot be read here.
func (w *walk) time(s Digest, t *time.Time) Digest {
	zone := slices.Index([]*time.Location{time.UTC, time.Local}, t.Location())
	w.failed = w.failed || zone < 0
	raw := (*[2]uint64)(unsafe.Pointer(t)) // its count, without the zone
	return w.keys.word(w.keys.pair(s, raw[0], raw[1]), u64(zone+1))
}

// u64 converts what is never negative.
func u64(n int) uint64 { return uint64(n) } //nolint:gosec // see above
