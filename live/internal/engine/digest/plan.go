package digest

import (
	"reflect"
	"time"
)

// Plan says which parts of a type's values to hash. With one, memory is read
// directly instead of through reflection: a row of seven fields takes about
// 20 ns.
type Plan struct {
	size  uintptr
	parts []part
	flat  bool // a value holds no references except strings
}

// Flat says whether a value of the type refers to no other memory, strings
// apart.
func (p *Plan) Flat() bool { return p.flat }

// part is one part of a value.
type part struct {
	kind   kind
	offset uintptr
	size   int          // of a word in bytes, of an array in elements
	typ    reflect.Type // of maps, slices and interfaces
	elem   *Plan
	key    *Plan // of maps
}

type kind uint8

const (
	wordKind      kind = iota // a number or boolean
	stringKind                //
	bytesKind                 // a slice of bytes
	timeKind                  // a time.Time
	arrayKind                 //
	sliceKind                 //
	pointerKind               //
	mapKind                   //
	interfaceKind             // the plan depends on the value inside
)

// planner makes the plans of types that refer to each other.
type planner struct {
	plans   map[reflect.Type]*Plan
	refused string // a type that cannot be hashed, and why
}

// PlanFor returns the plan of a type; refused says why there is none.
func PlanFor(t reflect.Type) (p *Plan, refused string) {
	ps := planner{plans: map[reflect.Type]*Plan{}}
	p = ps.of(t)
	return p, ps.refused
}

func (ps *planner) of(t reflect.Type) *Plan {
	if p := ps.plans[t]; p != nil {
		return p
	}
	p := &Plan{size: t.Size(), flat: true}
	ps.plans[t] = p
	ps.add(p, t, 0)
	return p
}

// maxFlatArray bounds the arrays whose elements are planned like fields.
const maxFlatArray = 16

// add adds to p a part of type t at an offset.
func (ps *planner) add(p *Plan, t reflect.Type, at uintptr) {
	n := part{offset: at, typ: t}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		n.size = int(t.Size())
		p.parts = append(p.parts, n)
		return
	case reflect.Complex64, reflect.Complex128:
		n.size = int(t.Size() / 2)
		p.parts = append(p.parts, n, part{offset: at + t.Size()/2, size: n.size})
		return
	case reflect.String:
		n.kind = stringKind
		p.parts = append(p.parts, n)
		return
	case reflect.Struct:
		if t != reflect.TypeFor[time.Time]() || !timeIsKnown() {
			for f := range t.Fields() {
				ps.add(p, f.Type, at+f.Offset)
			}
			return
		}
		n.kind = timeKind
	case reflect.Array:
		if t.Len() <= maxFlatArray {
			for i := range t.Len() {
				ps.add(p, t.Elem(), at+uintptr(i)*t.Elem().Size())
			}
			return
		}
		n.kind, n.size, n.elem = arrayKind, t.Len(), ps.of(t.Elem())
	case reflect.Slice:
		n.kind, n.elem = sliceKind, ps.of(t.Elem())
		if t.Elem().Kind() == reflect.Uint8 {
			n.kind = bytesKind
		}
	case reflect.Pointer:
		n.kind, n.elem = pointerKind, ps.of(t.Elem())
	case reflect.Map:
		n.kind, n.key, n.elem = mapKind, ps.of(t.Key()), ps.of(t.Elem())
	case reflect.Interface:
		n.kind = interfaceKind
	default:
		ps.refused = "a " + t.String() + " can change unseen"
	}
	p.flat = false
	p.parts = append(p.parts, n)
}

// timeIsKnown checks that a time.Time is laid out as (*walk).time reads it: two
// words of time, then the zone.
func timeIsKnown() bool {
	t := reflect.TypeFor[time.Time]()
	return t.NumField() == 3 && t.Field(0).Type.Size() == 8 && t.Field(1).Type.Size() == 8 && t.Field(2).Name == "loc"
}
