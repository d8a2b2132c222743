package engine

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"iter"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	texttemplate "text/template"
	"text/template/parse"

	"lastmile/live/internal/engine/digest"
	"lastmile/live/internal/engine/share"
)

// rawBlock is the number of the block of one value that stands for what a
// break or continue has cut short.
const rawBlock = 0

// Options changes how a template is compiled. The zero value is for production.
type Options struct {
	// Dev reports duplicate keys of rows in Set.Diagnostics. Defaults to off.
	Dev bool
	// NoMemo renders all rows of a range, also those that did not change.
	// Defaults to off: unchanged rows of flat structs are not executed.
	NoMemo bool
	// NoTyped prints all values through html/template's escapers. Defaults to
	// off: plain strings, integers and booleans are printed without reflection.
	NoTyped bool
	// Shared lets views with equal states share trees and patches. Defaults to
	// off, because a mistake there shows one session's page to another: what
	// Pure names must be pure indeed.
	Shared bool
	// Pure names functions of the template and methods of the state whose
	// results, with all that the template calls on them, depend on nothing but
	// their arguments and receivers. Without that, a row or page that calls them
	// is neither memoised nor shared. Defaults to none.
	Pure []string
}

// Set is a compiled template with all that it calls. It is immutable and safe
// for concurrent use.
type Set struct {
	root      *block
	blocks    []*block
	roots     map[string]*parse.ListNode // instrumented bodies
	marks     markers
	memos     []*memo
	stateType reflect.Type
	whole     bool // the markers do not work: the page is one value
	name      string

	manifest    []byte
	fingerprint string

	mu     sync.Mutex
	notes  []string
	dev    bool
	source *template.Template // never executed, so that it can be cloned
	idle   []*executor

	renderers sync.Pool // *renderer
	views     atomic.Uint64
	keys      digest.Keys
	shared    *share.Table[tree] // nil when renders are not shared
	unshared  string
}

// Compile prepares t for rendering, diffing and patching. t is neither changed
// nor executed; it must not have been executed before. stateType is the type of
// the states that will be rendered; nil when it is not known, which costs speed
// only. Functions of t run later, concurrently, whenever states are rendered.
func Compile(t *template.Template, stateType reflect.Type, o Options) (*Set, error) {
	if t == nil || t.Tree == nil || t.Tree.Root == nil {
		return nil, errors.New("engine: the template is empty or missing")
	}
	return compile(t, stateType, o, markersArrive())
}

func compile(t *template.Template, stateType reflect.Type, o Options, markersErr error) (*Set, error) {
	source, err := prepared(t)
	if err != nil {
		return nil, err
	}
	s := &Set{
		name: t.Name(), source: source, stateType: stateType, dev: o.Dev,
		roots: map[string]*parse.ListNode{}, marks: markers{}, keys: digest.NewKeys(),
	}
	s.blocks = []*block{{name: "raw", statics: []string{"", ""}, slots: []slot{{kind: valueSlot}}, key: rowKey{call: -1}}}
	first, err := s.newExecutor()
	if err != nil {
		return nil, err
	}
	if markersErr != nil {
		s.oneValue(markersErr)
	} else {
		in := &instrumenter{set: s, tmpl: first.set, body: map[string]*block{}, list: map[*block]*parse.ListNode{}, text: map[*block][]*parse.TextNode{}}
		s.root = in.template(t.Name())
		s.writeBodies(in.text)
		in.mark()
		s.layOut()
		s.accelerate(in, o)
		for _, b := range s.blocks {
			b.blank = make([]span, len(b.slots))
		}
	}
	s.diagnose()
	s.manifest = s.appendManifest(nil)
	s.fingerprint = fingerprint(s.manifest)
	s.idle = []*executor{first}
	return s, nil
}

// oneValue makes the whole page one HTML unit: what remains when the standard
// library no longer hands template text to the writer as it is.
func (s *Set) oneValue(reason error) {
	s.whole = true
	s.root = &block{
		id: 1, name: s.name, where: s.name, statics: []string{"", ""},
		slots: []slot{{kind: valueSlot}}, key: rowKey{call: -1},
	}
	s.root.src, _ = s.root.markup()
	s.blocks = append(s.blocks, s.root)
	s.root.layout.whole = reason.Error()
	s.buildUnits()
}

// Fingerprint identifies the manifest: equal templates have equal ones in every
// process.
func (s *Set) Fingerprint() string { return s.fingerprint }

// Unshared returns why renders are not shared although Options.Shared asks for
// it: why equal states may have different pages. "" when they are shared, or
// when nobody asks.
func (s *Set) Unshared() string { return s.unshared }

// Manifest returns what a client needs to know of the templates, as JSON. It
// never changes; do not modify it.
func (s *Set) Manifest() []byte { return s.manifest }

// Diagnostics lists, for the template's author, which parts of the page cannot
// be patched part by part and why, each with template name and line; in dev
// mode also rows with duplicate keys met so far.
func (s *Set) Diagnostics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes)
}

func (s *Set) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// executor is one escaped copy of the templates. Its functions belong to it, so
// it runs one render at a time.
type executor struct {
	set  *template.Template
	root executable
	run  memoRun
}

// executable is a template of either package.
type executable interface {
	Execute(w io.Writer, data any) error
}

// inner returns the escaped text template that t executes, or t where it cannot
// be seen: html/template locks the whole set on each execution, to look whether
// it is escaped yet.
func inner(t *template.Template) executable {
	f := reflect.ValueOf(t).Elem().FieldByName("text")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*texttemplate.Template]() || f.IsNil() {
		return t
	}
	return (*texttemplate.Template)(f.UnsafePointer())
}

// newExecutor clones and escapes the templates once more and lets them run the
// set's instrumented nodes.
func (s *Set) newExecutor() (*executor, error) {
	s.mu.Lock()
	c, err := s.source.Clone()
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("engine: clone template %q: %w", s.name, err)
	}
	if err := escape(c, s.name); err != nil {
		return nil, err
	}
	e := &executor{set: c, root: inner(c.Lookup(s.name))}
	if len(s.memos) > 0 || len(s.roots) == 0 {
		c.Funcs(template.FuncMap{memoFunc: e.run.rows})
	}
	for name, list := range s.roots {
		c.Lookup(name).Tree.Root = list
	}
	return e, nil
}

// executor returns one for one render; give it back with release.
func (s *Set) executor() (*executor, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		e := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return e, nil
	}
	s.mu.Unlock()
	return s.newExecutor()
}

func (s *Set) release(e *executor) {
	e.run.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < runtime.GOMAXPROCS(0) {
		s.idle = append(s.idle, e)
	}
}

func mapKeys[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }
