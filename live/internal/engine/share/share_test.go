package share_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"lastmile/live/internal/engine/digest"
	"lastmile/live/internal/engine/share"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type state struct {
	N int
	V any
}

// table is one for pages of a template over state, whose renders are texts.
func table(t *testing.T) *share.Table[string] {
	t.Helper()
	keys := digest.NewKeys()
	tab, refused := share.New[string](source(`{{.N}}{{.V}}`, reflect.TypeFor[state]()), &keys)
	if refused != "" {
		t.Fatal(refused)
	}
	return tab
}

func fill(text string) func(*string) error {
	return func(value *string) error {
		*value = text
		return nil
	}
}

func TestEqualStatesHaveOneRender(t *testing.T) {
	t.Parallel()
	tab := table(t)
	a := tab.Find(1, nil, true, state{N: 1})
	if err := tab.Fill(a, fill("one")); err != nil {
		t.Fatal(err)
	}
	b := tab.Find(2, nil, true, state{N: 1})
	if a != b {
		t.Fatal("equal states have two renders")
	}
	if err := tab.Fill(b, fill("again")); err != nil || b.Value != "one" {
		t.Errorf("the second view made it %q, %v; want what the first made", b.Value, err)
	}
	if c := tab.Find(2, b, false, state{N: 2}); c == b {
		t.Error("unequal states have one render")
	}
	if hits, renders := tab.Stats(); hits != 1 || renders != 2 {
		t.Errorf("%d hits and %d renders, want 1 and 2", hits, renders)
	}
	runtime.KeepAlive(a)
}

// TestStatesThatCannotBeJudged have values in interfaces that nobody looked at
// when the template was compiled.
func TestStatesThatCannotBeJudged(t *testing.T) {
	t.Parallel()
	tab := table(t)
	for _, v := range []any{new(int), []*int{}, func() {}, text("x"), make(chan int)} {
		if tab.Find(1, nil, true, state{V: v}) != nil || tab.Find(1, nil, false, state{V: v}) != nil {
			t.Errorf("a state with a %T is shared", v)
		}
	}
	for _, v := range []any{nil, 1, "x", []string{"x"}, map[string]int{"x": 1}} {
		if tab.Find(1, nil, true, state{V: v}) == nil {
			t.Errorf("a state with a %T is not shared", v)
		}
	}
}

type text string

func (text) String() string { return "anything" }

func TestFailedRenderIsNotRemembered(t *testing.T) {
	t.Parallel()
	tab := table(t)
	failure := errors.New("no page")
	a := tab.Find(1, nil, true, state{})
	for range 2 { // also for a view that found it before it failed
		if err := tab.Fill(a, func(*string) error { return failure }); !errors.Is(err, failure) {
			t.Errorf("got %v, want %v", err, failure)
		}
	}
	b := tab.Find(2, nil, true, state{})
	if a == b {
		t.Fatal("the failed render was found")
	}
	if err := tab.Fill(b, fill("page")); err != nil {
		t.Error(err)
	}
	if err := tab.Fill(a, fill("")); err == nil {
		t.Error("the failed render was made after all")
	}
	if tab.Find(3, nil, true, state{}) != b {
		t.Error("the failed render took the good one's place")
	}
}

// TestRenderThatIsCutOff ends the goroutine that renders.
func TestRenderThatIsCutOff(t *testing.T) {
	t.Parallel()
	tab := table(t)
	a := tab.Find(1, nil, true, state{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = tab.Fill(a, func(*string) error {
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	if err := tab.Fill(a, fill("page")); err == nil {
		t.Errorf("a render that was cut off is taken for whole: %q", a.Value)
	}
}

// TestPatchIsMadeOnce has many views ask for one patch at once.
func TestPatchIsMadeOnce(t *testing.T) {
	t.Parallel()
	tab := table(t)
	from, to := tab.Find(1, nil, true, state{N: 1}), tab.Find(1, nil, true, state{N: 2})
	var made atomic.Int64
	get := func(from, to *share.Render[string], text string) string {
		out, changed := tab.Patch(from, to, func() ([]byte, bool) {
			made.Add(1)
			return []byte(text), true
		})
		if !changed {
			t.Error("the patch changes nothing")
		}
		return string(out)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if got := get(from, to, "there"); got != "there" {
				t.Errorf("got %q", got)
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("the patch was made %d times", n)
	}
	for _, tt := range []struct {
		from, to *share.Render[string]
		text     string
	}{{to, from, "back"}, {nil, from, "first"}, {nil, to, "second"}} {
		if got := get(tt.from, tt.to, tt.text); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
	}
}

// TestPatchesAreBounded makes more patches, by number and by bytes, than are
// kept: the oldest are made again, the latest are not.
func TestPatchesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		size, n      int
		kept, undone int // the latest that are kept at least, the oldest that are not
	}{
		{"by number", 1, 40, 32, 8},
		{"by bytes", 100 << 10, 4, 2, 2},
		{"one that is too large", 300 << 10, 1, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tab := table(t)
			var renders []*share.Render[string]
			for i := range tt.n {
				renders = append(renders, tab.Find(1, nil, true, state{N: i}))
			}
			makes := func(r *share.Render[string]) (made bool) {
				out, _ := tab.Patch(nil, r, func() ([]byte, bool) {
					made = true
					return bytes.Repeat([]byte("x"), tt.size), true
				})
				if len(out) != tt.size {
					t.Errorf("a patch of %d bytes, want %d", len(out), tt.size)
				}
				return made
			}
			for _, r := range renders {
				makes(r)
			}
			for i := range tt.kept {
				if makes(renders[tt.n-1-i]) {
					t.Errorf("number %d from the end was not kept", i)
				}
			}
			if !makes(renders[tt.undone-1]) {
				t.Errorf("number %d is still kept", tt.undone-1)
			}
		})
	}
}

// TestAskingRestsAndTriesAgain never shows one state twice, then one always.
func TestAskingRestsAndTriesAgain(t *testing.T) {
	t.Parallel()
	tab := table(t)
	asked := 0
	for i := range 4000 {
		if tab.Find(1+uint64(i%2), nil, false, state{N: i}) != nil {
			asked++
		}
	}
	if asked != 256 {
		t.Errorf("%d of 4000 renders that found nothing were looked for, want 256", asked)
	}
	if tab.Find(3, nil, true, state{N: 5}) == nil {
		t.Error("first renders rest because later ones find nothing")
	}
	var keep []*share.Render[string]
	for i := range 8192 {
		if r := tab.Find(1+uint64(i%2), nil, false, state{N: -1}); r != nil {
			keep = append(keep, r)
		}
	}
	if len(keep) < 4000 {
		t.Errorf("%d of 8192 renders that would be found were looked for", len(keep))
	}
	runtime.KeepAlive(keep)
}

// TestNobodyHoldsWhatNobodyShows lets the collector take renders.
func TestNobodyHoldsWhatNobodyShows(t *testing.T) {
	t.Parallel()
	tab := table(t)
	for i := range 200 {
		if err := tab.Fill(tab.Find(1, nil, true, state{N: i}), fill(strings.Repeat("x", 100))); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	if _, renders := tab.Stats(); renders > 100 {
		t.Errorf("%d renders are known that nobody shows", renders)
	}
}

func TestAlone(t *testing.T) {
	t.Parallel()
	tab := table(t)
	if tab.Alone(1) {
		t.Error("a view is alone before it has asked")
	}
	tab.Find(1, nil, true, state{})
	if !tab.Alone(1) || tab.Alone(2) {
		t.Error("view 1 asked last")
	}
	tab.Find(2, nil, true, state{})
	if tab.Alone(1) || !tab.Alone(2) {
		t.Error("view 2 asked last")
	}
}
