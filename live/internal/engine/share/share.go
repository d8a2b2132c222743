// Package share lets views that show equal states share one render: the tree of
// its values, and the patch from one shared render to another. It neither
// executes templates nor knows what a tree is: package engine, its only caller,
// renders and compares, and asks here first.
//
// A mistake here shows one session's page to another. So nothing is shared
// unless the application asks for it, a render is found by a digest of all that
// its state holds, and [New] refuses templates whose pages may depend on
// anything but the state.
package share

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"text/template/parse"
	"weak"

	"lastmile/live/internal/engine/digest"
)

// Source is what a template's pages are made of.
type Source struct {
	// Template makes the page, and Body returns the body of a template by name,
	// nil when there is none.
	Template string
	Body     func(name string) *parse.ListNode
	// State is the type of the states.
	State reflect.Type
	// Funcs are the functions that the application gave the template. Pure
	// names those, and methods of the state, that it declares to depend on
	// nothing but their arguments and receivers.
	Funcs map[string]bool
	Pure  []string
}

// Table finds the renders and patches that views share.
//
//	state --digest--> Render, held by the views that show it and by nobody else
//	Render, Render -> patch, the latest few
//
// A view asks only when another view has asked since it did ([Table.Alone]), and
// only while asking finds something often enough. A Table is safe for concurrent
// use.
type Table[T any] struct {
	keys   *digest.Keys
	plan   *digest.Plan
	purity *purity
	known  sync.Map // reflect.Type of a value in an interface -> *digest.Plan, nil when refused

	last atomic.Uint64 // the view that asked last
	ids  atomic.Uint64 // of renders

	mu      sync.Mutex
	renders map[digest.Digest]weak.Pointer[Render[T]]
	sweepAt int // number of renders at which the dead are looked for
	patches patches
	rounds  [2]chance // of first renders, of later ones
	hits    int
}

// Render is the render of one state. It does not change once Fill has returned.
type Render[T any] struct {
	// Value is what the render is. Fill writes it.
	Value T
	id    uint64
	state digest.Digest
	once  sync.Once
	err   error
}

// New returns an empty table for the renders of src; refused says why two equal
// states of src may have different pages, and is "" when they cannot.
func New[T any](src Source, keys *digest.Keys) (t *Table[T], refused string) {
	plan, refused := digest.PlanFor(src.State)
	if refused != "" {
		return nil, refused
	}
	p := newPurity(src)
	if why := p.check(); why != "" {
		return nil, why
	}
	t = &Table[T]{keys: keys, plan: plan, purity: p, renders: map[digest.Digest]weak.Pointer[Render[T]]{}}
	for i := range t.rounds {
		t.rounds[i].credit = maxCredit
	}
	return t, ""
}

// dynamic returns the plan of a type met in an interface; nil refuses it.
func (t *Table[T]) dynamic(typ reflect.Type) *digest.Plan {
	if known, ok := t.known.Load(typ); ok {
		p, _ := known.(*digest.Plan)
		return p
	}
	p, refused := digest.PlanFor(typ)
	if refused != "" || !t.purity.dynamic(typ) {
		p = nil
	}
	t.known.Store(typ, p)
	return p
}

// Alone says whether no view has called Find since this one did. Views are told
// apart by numbers from 1 on.
func (t *Table[T]) Alone(view uint64) bool { return t.last.Load() == view }

// Find returns the render of a state, for Fill to fill; nil says that the view
// had better render by itself. shown is the shared render that the view shows
// now, nil when it shows one of its own; first says that it shows nothing yet.
func (t *Table[T]) Find(view uint64, shown *Render[T], first bool, state any) *Render[T] {
	t.last.Store(view)
	round := &t.rounds[1]
	if first {
		round = &t.rounds[0]
	}
	if !t.worth(round) {
		return nil
	}
	d, ok := t.keys.Of(t.plan, state, t.dynamic)
	if !ok {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.renders[d].Value(); r != nil {
		if r != shown {
			round.found()
			t.hits++
		}
		return r
	}
	r := &Render[T]{state: d, id: t.ids.Add(1)}
	if len(t.renders) >= t.sweepAt {
		t.sweep()
	}
	t.renders[d] = weak.Make(r)
	return r
}

// sweep forgets renders that no view shows any more.
func (t *Table[T]) sweep() {
	for d, p := range t.renders {
		if p.Value() == nil {
			delete(t.renders, d)
		}
	}
	t.sweepAt = 2*len(t.renders) + 64
}

// errCutOff is the error of a render whose goroutine was ended.
var errCutOff = errors.New("engine: render was cut off")

// Fill has the first of a render's callers write its value; the others wait. An
// error is that of all who wait, and the next call of Find starts anew.
func (t *Table[T]) Fill(r *Render[T], fill func(value *T) error) error {
	r.once.Do(func() {
		r.err = errCutOff
		r.err = fill(&r.Value)
	})
	if r.err != nil {
		t.forget(r)
	}
	return r.err
}

func (t *Table[T]) forget(r *Render[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.renders[r.state].Value() == r {
		delete(t.renders, r.state)
	}
}

// Stats returns how often a render was found that another view had made, and
// how many renders the table knows.
func (t *Table[T]) Stats() (hits, renders int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hits, len(t.renders)
}

// Patch returns the patch from one render to another, and whether it changes
// anything; from is nil for the snapshot of to. The first caller makes it, the
// others wait. They must not change it.
func (t *Table[T]) Patch(from, to *Render[T], encode func() (out []byte, changed bool)) (out []byte, changed bool) {
	var id uint64
	if from != nil {
		id = from.id
	}
	t.mu.Lock()
	p := t.patches.get(id, to.id)
	t.mu.Unlock()
	p.once.Do(func() {
		p.out, p.changed = encode()
		t.mu.Lock()
		t.patches.weigh(p)
		t.mu.Unlock()
	})
	return p.out, p.changed
}

// chance decides whether asking pays. It must find a render in one of sixteen
// times; otherwise the next restFor questions are answered with no.
type chance struct{ credit, rest int }

const (
	maxCredit   = 256
	trialCredit = 64
	hitCredit   = 16
	restFor     = 4096
)

func (t *Table[T]) worth(c *chance) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.credit > 0 {
		c.credit--
		return true
	}
	if c.rest++; c.rest >= restFor {
		c.rest, c.credit = 0, trialCredit
	}
	return false
}

func (c *chance) found() { c.credit = min(c.credit+hitCredit, maxCredit) }
