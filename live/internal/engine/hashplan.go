package engine

import (
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// hashPlan hashes the values of one type. It reads memory instead of calling
// reflection for each field: a row of seven fields costs about 20 ns.
type hashPlan struct {
	size uintptr
	ops  []hashOp
	flat bool // all of it lies in the value itself, texts apart
}

// hashOp adds one part of a value.
type hashOp struct {
	kind   hashKind
	offset uintptr
	size   int          // of words their bytes, of repeated their number
	typ    reflect.Type // of maps and interfaces
	elem   *hashPlan
	key    *hashPlan // of maps
}

type hashKind uint8

const (
	hashWord     hashKind = iota // a number or boolean
	hashString                   //
	hashBytes                    // a slice of bytes
	hashTime                     // a time.Time
	hashRepeated                 // an array
	hashSlice                    //
	hashPointer                  //
	hashMap                      //
	hashAny                      // an interface: the value's own type has a plan of its own
)

// hashPlans are the plans of types that refer to each other.
type hashPlans struct {
	plans   map[reflect.Type]*hashPlan
	refused string // a type among them that cannot be hashed, and why
}

// planFor returns the plan of a type; refused says why there is none.
func planFor(t reflect.Type) (p *hashPlan, refused string) {
	ps := hashPlans{plans: map[reflect.Type]*hashPlan{}}
	p = ps.of(t)
	return p, ps.refused
}

func (ps *hashPlans) of(t reflect.Type) *hashPlan {
	if p := ps.plans[t]; p != nil {
		return p
	}
	p := &hashPlan{size: t.Size(), flat: true}
	ps.plans[t] = p
	ps.add(p, t, 0)
	return p
}

// maxFlatArray bounds arrays that are hashed as if their elements were fields.
const maxFlatArray = 16

// add extends p by a part of type t at an offset.
func (ps *hashPlans) add(p *hashPlan, t reflect.Type, at uintptr) {
	op := hashOp{offset: at, typ: t}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		op.size = int(t.Size())
		p.ops = append(p.ops, op)
		return
	case reflect.Complex64, reflect.Complex128:
		op.size = int(t.Size() / 2)
		p.ops = append(p.ops, op, hashOp{offset: at + t.Size()/2, size: op.size})
		return
	case reflect.String:
		op.kind = hashString
		p.ops = append(p.ops, op)
		return
	case reflect.Struct:
		if t != reflect.TypeFor[time.Time]() || !timeIsKnown() {
			for f := range t.Fields() {
				ps.add(p, f.Type, at+f.Offset)
			}
			return
		}
		op.kind = hashTime
	case reflect.Array:
		if t.Len() <= maxFlatArray {
			for i := range t.Len() {
				ps.add(p, t.Elem(), at+uintptr(i)*t.Elem().Size())
			}
			return
		}
		op.kind, op.size, op.elem = hashRepeated, t.Len(), ps.of(t.Elem())
	case reflect.Slice:
		op.kind, op.elem = hashSlice, ps.of(t.Elem())
		if t.Elem().Kind() == reflect.Uint8 {
			op.kind = hashBytes
		}
	case reflect.Pointer:
		op.kind, op.elem = hashPointer, ps.of(t.Elem())
	case reflect.Map:
		op.kind, op.key, op.elem = hashMap, ps.of(t.Key()), ps.of(t.Elem())
	case reflect.Interface:
		op.kind = hashAny
	default:
		ps.refused = "a " + t.String() + " can change unseen"
	}
	p.flat = false
	p.ops = append(p.ops, op)
}

// hashing is one pass over a value.
type hashing struct {
	keys   *hashKeys
	types  func(reflect.Type) *hashPlan // of the values in interfaces; nil refuses
	budget int                          // parts that may still be visited
	depth  int
	failed bool
}

// maxHashed and maxHashDepth bound the parts of a hashed value, also of one
// that refers to itself.
const (
	maxHashed    = 1 << 20
	maxHashDepth = 500
)

// value adds the value at an address.
func (h *hashing) value(s digest, p *hashPlan, at unsafe.Pointer) digest {
	if p.flat {
		return h.keys.flat(s, p, at)
	}
	h.budget--
	h.depth++
	defer func() { h.depth-- }()
	h.failed = h.failed || h.budget < 0 || h.depth > maxHashDepth
	for i := range p.ops {
		if h.failed {
			return s
		}
		s = h.part(s, &p.ops[i], unsafe.Add(at, p.ops[i].offset))
	}
	return s
}

// flat adds a value that refers to nothing.
func (k *hashKeys) flat(s digest, p *hashPlan, at unsafe.Pointer) digest {
	for i := range p.ops {
		op := &p.ops[i]
		if op.kind == hashString {
			s = k.text(s, stringAt(unsafe.Add(at, op.offset)))
		} else {
			s = k.word(s, wordAt(unsafe.Add(at, op.offset), op.size))
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

func (h *hashing) part(s digest, op *hashOp, at unsafe.Pointer) digest {
	switch op.kind {
	case hashWord:
		return h.keys.word(s, wordAt(at, op.size))
	case hashString:
		return h.keys.text(s, stringAt(at))
	case hashBytes:
		b := *(*[]byte)(at)
		return h.keys.text(h.present(s, b != nil), b)
	case hashTime:
		return h.time(s, (*time.Time)(at))
	case hashRepeated:
		return h.elements(s, op.elem, at, op.size)
	case hashSlice:
		v := reflect.NewAt(op.typ, at).Elem()
		return h.elements(h.present(s, !v.IsNil()), op.elem, v.UnsafePointer(), v.Len())
	case hashPointer:
		to := *(*unsafe.Pointer)(at)
		if s = h.present(s, to != nil); to == nil {
			return s
		}
		return h.value(s, op.elem, to)
	case hashMap:
		return h.entries(s, op, reflect.NewAt(op.typ, at).Elem())
	default:
		return h.dynamic(s, reflect.NewAt(op.typ, at).Elem().Elem())
	}
}

// present tells nil from empty: templates can.
func (h *hashing) present(s digest, is bool) digest {
	if is {
		return h.keys.word(s, 1)
	}
	return h.keys.word(s, 0)
}

func (h *hashing) elements(s digest, p *hashPlan, first unsafe.Pointer, n int) digest {
	s = h.keys.word(s, u64(n))
	h.budget -= n
	for i := range n { // from the first: a pointer past the last must never exist
		if h.budget < 0 || h.failed {
			h.failed = true
			return s
		}
		s = h.value(s, p, unsafe.Add(first, uintptr(i)*p.size))
	}
	return s
}

// entries adds a map's entries in any order.
func (h *hashing) entries(s digest, op *hashOp, v reflect.Value) digest {
	s = h.keys.word(h.present(s, !v.IsNil()), u64(v.Len()))
	h.budget -= v.Len()
	var sum digest
	key, elem := reflect.New(op.typ.Key()).Elem(), reflect.New(op.typ.Elem()).Elem()
	for it := v.MapRange(); it.Next() && !h.failed; {
		key.SetIterKey(it)
		elem.SetIterValue(it)
		e := h.value(h.keys.start(), op.key, key.Addr().UnsafePointer())
		e = h.value(e, op.elem, elem.Addr().UnsafePointer())
		sum.a, sum.b = sum.a+e.a, sum.b+e.b
	}
	return h.keys.word(h.keys.pair(s, sum.a, sum.b), 0)
}

// dynamic adds the value in an interface.
func (h *hashing) dynamic(s digest, v reflect.Value) digest {
	if s = h.present(s, v.IsValid()); !v.IsValid() {
		return s
	}
	p := h.types(v.Type())
	if p == nil {
		h.failed = true
		return s
	}
	c := reflect.New(v.Type())
	c.Elem().Set(v)
	s = h.keys.word(s, uint64(uintptr(reflect.ValueOf(v.Type()).UnsafePointer())))
	return h.value(s, p, c.UnsafePointer())
}

// timeIsKnown checks that a time.Time begins with two words that are its count.
func timeIsKnown() bool {
	t := reflect.TypeFor[time.Time]()
	return t.NumField() == 3 && t.Field(0).Type.Size() == 8 && t.Field(1).Type.Size() == 8 && t.Field(2).Name == "loc"
}

// time adds a time in one of the zones that are always there. Others are equal
// or not by more than can be read here.
func (h *hashing) time(s digest, t *time.Time) digest {
	zone := slices.Index([]*time.Location{time.UTC, time.Local}, t.Location())
	h.failed = h.failed || zone < 0
	raw := (*[2]uint64)(unsafe.Pointer(t)) // its count, without the zone
	return h.keys.word(h.keys.pair(s, raw[0], raw[1]), u64(zone+1))
}

// u64 converts what is never negative.
func u64(n int) uint64 { return uint64(n) } //nolint:gosec // see above

// rows appends a hash of each element of the slice v, which is flat.
func (k *hashKeys) rows(dst []uint64, p *hashPlan, v reflect.Value) []uint64 {
	first := v.UnsafePointer()
	for i := range v.Len() {
		dst = append(dst, k.flat(k.start(), p, unsafe.Add(first, uintptr(i)*p.size)).a)
	}
	return dst
}
