package engine

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// shares lets views that show equal states share one render: its tree, and the
// patch from one shared tree to another.
//
//	state --digest--> sharedTree, held by the views that show it and by nobody else
//	tree, tree -----> sharedPatch, the latest few
//
// A view asks for a shared render only where another view has rendered since it
// did, and only as long as asking finds something often enough.
type shares struct {
	set    *Set
	plan   *hashPlan
	purity *purity
	known  sync.Map // reflect.Type of a value in an interface -> *hashPlan, nil when refused

	last atomic.Uint64 // the view that rendered last
	ids  atomic.Uint64 // of trees

	mu      sync.Mutex
	trees   map[digest]weak.Pointer[sharedTree]
	sweepAt int // number of trees at which the dead are looked for
	patches []*sharedPatch
	bytes   int       // of patches
	rounds  [2]chance // of first renders, of later ones
	hits    int
}

// sharedTree is the render of a state. It never changes.
type sharedTree struct {
	tree
	state digest
	once  sync.Once
	err   error
}

// sharedPatch is what turns one shared tree into another; from is 0 for a
// snapshot.
type sharedPatch struct {
	from, to uint64
	once     sync.Once
	out      []byte
	changed  bool
	counted  int // bytes that it is known to hold
}

const (
	maxSharedPatches    = 32
	maxSharedPatchBytes = 256 << 10
)

// chance decides whether asking for shared renders pays: it must find one in
// every sixteen times, or it rests.
type chance struct{ credit, rest int }

const (
	maxCredit   = 256
	trialCredit = 64
	restFor     = 4096
)

// share prepares a set for sharing; unshared says why it cannot be.
func (s *Set) share(own map[string]bool, o Options) (unshared string) {
	plan, refused := planFor(s.stateType)
	if refused != "" {
		return refused
	}
	p := &purity{
		set: s, own: own, pure: o.Pure, named: map[string]bool{}, types: map[reflect.Type]bool{},
		fields: map[string][]reflect.Type{}, vars: map[string]kinds{},
	}
	if why := p.check(); why != "" {
		return why
	}
	sh := &shares{set: s, plan: plan, purity: p, trees: map[digest]weak.Pointer[sharedTree]{}}
	for i := range sh.rounds {
		sh.rounds[i].credit = maxCredit
	}
	s.shares = sh
	return ""
}

// digest hashes a state; ok is false when it holds what cannot be.
func (s *shares) digest(state any) (d digest, ok bool) {
	h := hashing{keys: &s.set.keys, types: s.dynamic, budget: maxHashed}
	v := reflect.New(s.set.stateType)
	v.Elem().Set(reflect.ValueOf(state))
	d = h.value(s.set.keys.start(), s.plan, v.UnsafePointer())
	return d, !h.failed
}

// dynamic returns the plan of a type met in an interface; nil refuses it.
func (s *shares) dynamic(t reflect.Type) *hashPlan {
	if known, ok := s.known.Load(t); ok {
		p, _ := known.(*hashPlan)
		return p
	}
	p, refused := planFor(t)
	if refused != "" || !s.purity.dynamic(t) {
		p = nil
	}
	s.known.Store(t, p)
	return p
}

// find returns the shared tree of a state, if v had better ask for one. Its
// once renders it.
func (s *shares) find(v *View, state any) *sharedTree {
	s.last.Store(v.id)
	round := &s.rounds[1]
	if v.base == nil {
		round = &s.rounds[0]
	}
	if !s.worth(round) {
		return nil
	}
	d, ok := s.digest(state)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.trees[d].Value(); t != nil {
		if &t.tree != v.base {
			round.credit = min(round.credit+16, maxCredit)
			s.hits++
		}
		return t
	}
	t := &sharedTree{state: d}
	t.id = s.ids.Add(1)
	if len(s.trees) >= s.sweepAt {
		s.sweep()
	}
	s.trees[d] = weak.Make(t)
	return t
}

func (s *shares) worth(round *chance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if round.credit > 0 {
		round.credit--
		return true
	}
	if round.rest++; round.rest >= restFor {
		round.rest, round.credit = 0, trialCredit
	}
	return false
}

// sweep forgets trees that no view shows any more.
func (s *shares) sweep() {
	for d, p := range s.trees {
		if p.Value() == nil {
			delete(s.trees, d)
		}
	}
	s.sweepAt = 2*len(s.trees) + 64
}

// forget drops the tree of a render that failed: the next one is tried anew.
func (s *shares) forget(t *sharedTree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trees[t.state].Value() == t {
		delete(s.trees, t.state)
	}
}

// patch returns the patch between two trees. Its once makes it.
func (s *shares) patch(from, to uint64) *sharedPatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.patches {
		if p.from == from && p.to == to {
			return p
		}
	}
	p := &sharedPatch{from: from, to: to}
	s.patches = append(s.patches, p)
	s.trim()
	return p
}

// weigh counts a patch's bytes, now that they are known, and drops the oldest
// patches where all of them are too many.
func (s *shares) weigh(p *sharedPatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.patches, p) {
		p.counted = len(p.out)
		s.bytes += p.counted
		s.trim()
	}
}

func (s *shares) trim() {
	for len(s.patches) > maxSharedPatches || s.bytes > maxSharedPatchBytes {
		s.bytes -= s.patches[0].counted
		s.patches[0] = nil
		s.patches = s.patches[1:]
	}
}
