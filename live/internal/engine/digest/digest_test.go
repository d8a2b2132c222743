package digest_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lastmile/live/internal/engine/digest"
	"lastmile/live/internal/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hasher hashes the states of one type, with any hashable type in interfaces.
type hasher struct {
	keys digest.Keys
	plan *digest.Plan
}

func hasherFor(t *testing.T, typ reflect.Type) *hasher {
	t.Helper()
	plan, refused := digest.PlanFor(typ)
	if refused != "" {
		t.Fatal(refused)
	}
	return &hasher{digest.NewKeys(), plan}
}

func (h *hasher) digest(state any) (digest.Digest, bool) {
	return h.keys.Of(h.plan, state, func(t reflect.Type) *digest.Plan {
		if p, refused := digest.PlanFor(t); refused == "" {
			return p
		}
		return nil
	})
}

// TestDigestsTellStatesApart compares digests with reflect.DeepEqual.
func TestDigestsTellStatesApart(t *testing.T) {
	t.Parallel()
	h := hasherFor(t, reflect.TypeFor[enginetest.State]())
	r := rand.New(rand.NewPCG(2, 7))
	seen := map[digest.Digest]enginetest.State{}
	for range 100 {
		state := enginetest.Random(r)
		for range 20 {
			d, ok := h.digest(state)
			if e, _ := h.digest(enginetest.Clone(state)); d != e || !ok {
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
	h := hasherFor(t, reflect.TypeFor[odd]())
	seen := map[digest.Digest]int{}
	again := odds()
	for i, v := range odds() {
		d, ok := h.digest(v)
		if j, is := seen[d]; !ok || is {
			t.Errorf("%+v has the digest of number %d (%v)", v, j, ok)
		}
		seen[d] = i
		if e, _ := h.digest(again[i]); e != d {
			t.Errorf("%+v has another digest the second time", v)
		}
	}
}

func TestWhatHasNoDigest(t *testing.T) {
	t.Parallel()
	h := hasherFor(t, reflect.TypeFor[odd]())
	cycle := map[string]any{}
	cycle["self"] = cycle
	for name, v := range map[string]odd{
		"a zone of its own": {T: time.Now().In(time.FixedZone("X", 60))},
		"a function":        {V: func() {}},
		"a channel":         {V: make(chan int)},
		"a cycle":           {V: cycle},
		"too many parts":    {V: make([]struct{}, 2<<20)},
	} {
		if _, ok := h.digest(v); ok {
			t.Errorf("%s was hashed", name)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[func()](), reflect.TypeFor[struct{ C []chan int }](), reflect.TypeFor[map[string]func()]()} {
		if _, refused := digest.PlanFor(typ); refused == "" {
			t.Errorf("%v has a plan", typ)
		}
	}
}

// TestRowsAreHashedOneByOne compares the hashes of a slice's elements.
func TestRowsAreHashedOneByOne(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   int
		Name string
		On   bool
	}
	plan, refused := digest.PlanFor(reflect.TypeFor[row]())
	if refused != "" || !plan.Flat() {
		t.Fatalf("a row of plain fields is not flat (%s)", refused)
	}
	if p, _ := digest.PlanFor(reflect.TypeFor[struct{ Tags []string }]()); p.Flat() {
		t.Error("a row with a slice is flat")
	}
	keys := digest.NewKeys()
	got := keys.Rows([]uint64{7}, plan, reflect.ValueOf([]row{{1, "a", true}, {1, "a", false}, {1, "a", true}, {2, "a", true}, {1, "b", true}}))
	if len(got) != 6 || got[0] != 7 || got[1] != got[3] {
		t.Errorf("equal rows have other hashes: %v", got)
	}
	for i, j := range map[int]int{1: 2, 2: 4, 4: 5, 5: 1} {
		if got[i] == got[j] {
			t.Errorf("rows %d and %d have one hash", i-1, j-1)
		}
	}
}
