package engine_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

// TestDigestsTellStatesApart compares digests with reflect.DeepEqual.
func TestDigestsTellStatesApart(t *testing.T) {
	t.Parallel()
	set := newPage(t, `{{.S}}`, sharedOptions).set
	r := rand.New(rand.NewPCG(2, 7))
	seen := map[[2]uint64]enginetest.State{}
	for range 100 {
		state := enginetest.Random(r)
		for range 20 {
			d, ok := set.Digest(state)
			if e, _ := set.Digest(enginetest.Clone(state)); d != e || !ok {
				t.Fatalf("a copy has another digest: %+v", state)
			}
			if other, ok := seen[d]; ok && !reflect.DeepEqual(other, state) {
				t.Fatalf("equal digests of\n%+v\n%+v", other, state)
			}
			seen[d] = state
			state = enginetest.Near(r, state)
		}
	}
}

type odd struct {
	B     []byte
	L     []string
	M     map[string]int
	P     *int
	V     any
	T     time.Time
	Large [20]int8
	F     float64
	Z     complex64
	X, Y  string
}

func odds() []odd {
	zero, one := 0, 1
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	list := []odd{{}, {F: math.Copysign(0, -1)}, {F: 1}, {Z: 1}, {Z: 1i}, {Y: "x"}, {P: &zero}, {P: &one}}
	for _, b := range [][]byte{{}, {0}, {0, 0}} {
		list = append(list, odd{B: b})
	}
	for _, l := range [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab", ""}, {"", "ab"}} {
		list = append(list, odd{L: l})
	}
	for _, m := range []map[string]int{{}, {"a": 1}, {"a": 2}, {"a": 1, "b": 2}, {"a": 2, "b": 1}} {
		list = append(list, odd{M: m})
	}
	for _, v := range []any{0, int8(0), uint(0), "", []int{}, map[string]any{"a": 1}, map[string]any{"a": "1"}} {
		list = append(list, odd{V: v})
	}
	for _, t := range []time.Time{noon, noon.Add(1), noon.Local()} {
		list = append(list, odd{T: t})
	}
	list = append(list, odd{Large: [20]int8{19: 1}}, odd{Large: [20]int8{18: 1}})
	for n := range 50 {
		list = append(list, odd{X: strings.Repeat("\x00", n+1)}, odd{X: strings.Repeat("x", n) + "y"})
	}
	return list
}

// TestDigestsOfNeighbours compares values that differ as little as can be.
func TestDigestsOfNeighbours(t *testing.T) {
	t.Parallel()
	set := compile(t, `{{.X}}{{.Z}}{{.F}}{{.T.Year}}`, odd{}, engine.Options{})
	seen := map[[2]uint64]int{}
	again := odds()
	for i, v := range odds() {
		d, ok := set.Digest(v)
		if j, is := seen[d]; !ok || is {
			t.Errorf("%+v has the digest of number %d (%v)", v, j, ok)
		}
		seen[d] = i
		if e, _ := set.Digest(again[i]); e != d {
			t.Errorf("%+v has another digest the second time", v)
		}
	}
	cycle := map[string]any{}
	cycle["self"] = cycle
	for _, v := range []odd{
		{T: time.Now().In(time.FixedZone("X", 60))}, {V: new(int)}, {V: []*int{}}, {V: func() {}}, {V: colour(1)}, {V: cycle},
	} {
		if _, ok := set.Digest(v); ok {
			t.Errorf("%T was hashed", v.V)
		}
	}
}
