package engine

import (
	"hash/maphash"
	"math/bits"
	"reflect"
	"unsafe"
)

// field is a part of a flat struct: a string when size is 0, else that many
// bytes at an offset.
type field struct {
	offset, size uintptr
}

// flatten lists the parts of a type that is all its own: strings, numbers and
// booleans, and structs and arrays of those. ok is false for any other, as what
// is behind a pointer can change unseen.
func flatten(t reflect.Type, base uintptr, parts []field) (_ []field, ok bool) {
	switch t.Kind() {
	case reflect.String:
		return append(parts, field{offset: base}), true
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return append(parts, field{offset: base, size: t.Size()}), true
	case reflect.Struct:
		for f := range t.Fields() {
			if parts, ok = flatten(f.Type, base+f.Offset, parts); !ok {
				return nil, false
			}
		}
		return parts, true
	case reflect.Array:
		for i := range t.Len() {
			if i == maxFlatArray {
				return nil, false
			}
			if parts, ok = flatten(t.Elem(), base+uintptr(i)*t.Elem().Size(), parts); !ok {
				return nil, false
			}
		}
		return parts, true
	default:
		return nil, false
	}
}

// maxFlatArray bounds arrays in rows: long ones are cheaper to execute.
const maxFlatArray = 16

// rowHasher hashes rows of one flat type. It reads memory instead of calling
// reflection for each field: seven fields cost about 40 ns.
type rowHasher struct {
	parts []field
	size  uintptr
	seed  maphash.Seed
	salt  uint64
}

// newRowHasher returns nil when elem is not flat.
func newRowHasher(elem reflect.Type) *rowHasher {
	parts, ok := flatten(elem, 0, nil)
	if !ok {
		return nil
	}
	seed := maphash.MakeSeed()
	return &rowHasher{parts: parts, size: elem.Size(), seed: seed, salt: maphash.String(seed, "salt") | 1}
}

// appendHashes appends one hash for each element of the slice v. Hashes are
// keyed with a random seed: nobody can choose rows that collide.
func (h *rowHasher) appendHashes(dst []uint64, v reflect.Value) []uint64 {
	first := v.UnsafePointer()
	for i := range v.Len() { // from the base: a pointer past the last row must never exist
		dst = append(dst, h.hash(unsafe.Add(first, uintptr(i)*h.size)))
	}
	return dst
}

func (h *rowHasher) hash(row unsafe.Pointer) uint64 {
	sum := h.salt
	for _, f := range h.parts {
		p := unsafe.Add(row, f.offset)
		var x uint64
		switch f.size {
		case 0:
			x = maphash.String(h.seed, *(*string)(p))
		case 8:
			x = *(*uint64)(p)
		case 4:
			x = uint64(*(*uint32)(p))
		case 2:
			x = uint64(*(*uint16)(p))
		default:
			x = uint64(*(*uint8)(p))
		}
		high, low := bits.Mul64(sum^x, h.salt^0x9E3779B97F4A7C15)
		sum = high ^ low + h.salt
	}
	return sum
}
