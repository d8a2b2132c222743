// Package enginetest generates templates and states for the engine's tests:
// random ones that reach every construct of html/template, and the fixed pages
// that figures are measured on. It checks nothing itself and does not know the
// engine. Only tests and benchmarks below live use it.
package enginetest

import (
	"html/template"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Row is a flat struct: its fields are all that it is.
type Row struct {
	ID    int
	Name  string
	Tag   string
	On    bool
	Price float64
	Size  Size
}

// Size is a struct inside a row.
type Size struct{ W, H uint16 }

// Item is a row that is not flat.
type Item struct {
	ID   int
	Name string
	On   bool
	Sub  []Row
	Next *Item
}

// State is what the random templates show.
type State struct {
	A, B, C bool
	N       int
	S, T    string
	HTML    template.HTML
	Attr    template.HTMLAttr
	URL     string
	Rows    []Row
	Items   []Item
	Words   []string
	Map     map[string]string
	Inner   *Item
	Any     any
	Attrs   []string
}

// Iter is a range-over-func of the words.
func (s State) Iter() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, w := range s.Words {
			if !yield(w) {
				return
			}
		}
	}
}

// Fail returns an error for some states.
func (s State) Fail() (string, error) {
	if s.N%11 == 10 {
		return "", errFail
	}
	return s.S, nil
}

type failure string

func (f failure) Error() string { return string(f) }

const errFail failure = "the state does not allow this"

var hostile = []string{
	"", "x", "hello world", "a<b>c", `"quoted" & 'single'`, "javascript:alert(1)", "');alert(1)//",
	"</script><script>alert(1)</script>", "</textarea>", "--><!--[1-->", "<!--]-->", "é ü 漢字 🙂", "a\nb", "\nfirst",
	"&amp;", "&lt;b&gt;", "&copy=1", "+1+", "`tick`", "${x}", "  spaced  ", "\x00nul", "\xff\xfe", "on onclick=alert(1)", "\u2028",
}

// Random returns a random state.
func Random(r *rand.Rand) State {
	s := State{
		A: r.IntN(2) == 0, B: r.IntN(2) == 0, C: r.IntN(3) == 0, N: r.IntN(12) - 1,
		S: word(r), T: word(r), URL: pick(r, []string{"/a/b?c=d&e=f", "javascript:alert(1)", "https://x.example/é", "?q=1"}),
		HTML: pick(r, []template.HTML{"", "<b>bold</b>", "plain &amp; simple", "<i>a</i><i>b</i>", "x<br>y"}),
		Attr: pick(r, []template.HTMLAttr{"", `data-x="1"`, `hidden`, `lang="de" dir="ltr"`}),
		Map:  map[string]string{},
	}
	for i := range r.IntN(6) {
		s.Rows = append(s.Rows, randomRow(r, i))
	}
	for i := range r.IntN(5) {
		s.Items = append(s.Items, randomItem(r, i, 2))
	}
	for range r.IntN(5) {
		s.Words = append(s.Words, word(r))
		s.Map[pick(r, []string{"k", "l", "m<"})] = word(r)
	}
	if r.IntN(2) == 0 {
		it := randomItem(r, 1, 3)
		s.Inner = &it
	}
	s.Any = pick(r, []any{nil, 1, "any", true, []int{1, 2}, map[string]int{"a": 1}, 1.5})
	return s
}

func word(r *rand.Rand) string { return pick(r, hostile) }

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func randomRow(r *rand.Rand, id int) Row {
	return Row{
		ID: id, Name: word(r), Tag: pick(r, []string{"", "x", "<y>"}), On: r.IntN(2) == 0,
		Price: float64(r.IntN(100)) / 4, Size: Size{W: pick(r, []uint16{0, 1, 2})},
	}
}

func randomItem(r *rand.Rand, id, depth int) Item {
	it := Item{ID: id, Name: word(r), On: r.IntN(2) == 0}
	for i := range r.IntN(3) {
		it.Sub = append(it.Sub, randomRow(r, i))
	}
	if depth > 0 && r.IntN(2) == 0 {
		next := randomItem(r, id+100, depth-1)
		it.Next = &next
	}
	return it
}

// Near returns a state that differs from s in a few places.
func Near(r *rand.Rand, s State) State {
	s.Rows, s.Items, s.Words = slices.Clone(s.Rows), slices.Clone(s.Items), slices.Clone(s.Words)
	other := Random(r)
	for range 1 + r.IntN(3) {
		switch r.IntN(12) {
		case 0:
			s.A, s.B = other.A, other.B
		case 1:
			s.C, s.N = other.C, other.N
		case 2:
			s.S = other.S
		case 3:
			s.T, s.HTML = other.T, other.HTML
		case 4:
			s.URL, s.Attr = other.URL, other.Attr
		case 5:
			s.Inner, s.Any = other.Inner, other.Any
		case 6:
			s.Words, s.Map = other.Words, other.Map
		case 7:
			s.Items = nearList(r, s.Items, other.Items, func(it *Item, n int) {
				it.Name, it.On = other.S, other.A
				if n > 0 {
					it.ID = n
				}
			})
		default:
			s.Rows = nearList(r, s.Rows, other.Rows, func(row *Row, n int) {
				row.Name, row.On = other.S, other.A
				if n > 0 {
					row.ID = n
				}
			})
		}
	}
	return s
}

// Clone returns a copy that refers to nothing of s but what Any holds.
func Clone(s State) State {
	s.Rows, s.Words, s.Attrs, s.Map = slices.Clone(s.Rows), slices.Clone(s.Words), slices.Clone(s.Attrs), maps.Clone(s.Map)
	s.Items, s.Inner = cloneItems(s.Items), cloneItem(s.Inner)
	return s
}

func cloneItems(list []Item) []Item {
	list = slices.Clone(list)
	for i := range list {
		list[i] = *cloneItem(&list[i])
	}
	return list
}

func cloneItem(it *Item) *Item {
	if it == nil {
		return nil
	}
	c := *it
	c.Sub, c.Next = slices.Clone(it.Sub), cloneItem(it.Next)
	return &c
}

// nearList shuffles, inserts, deletes, edits or swaps.
func nearList[T any](r *rand.Rand, list, other []T, edit func(*T, int)) []T {
	switch r.IntN(7) {
	case 0:
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	case 1, 2:
		var n T
		edit(&n, 1000+r.IntN(1000))
		list = slices.Insert(list, r.IntN(len(list)+1), n)
	case 3:
		if len(list) > 0 {
			i := r.IntN(len(list))
			list = slices.Delete(list, i, i+1)
		}
	case 4, 5:
		if len(list) > 0 {
			edit(&list[r.IntN(len(list))], 0)
		}
	default:
		return other
	}
	return list
}

// Valid returns text as an HTML parser's input has it: invalid UTF-8 replaced,
// line ends normalised.
func Valid(s string) string {
	s = string([]rune(s)) // each invalid byte becomes U+FFFD
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}
