package mutation

import "slices"

// Table returns the faults that the unit tests of their packages must notice.
func Table() []Mutation { return slices.Concat(sharing) }

// sharing lets views share what they must not, in live/internal/engine/share.
var sharing = []Mutation{
	{"live/internal/engine/share/share.go", "New", `if refused != "" {`, `if refused == "?" {`},
	{"live/internal/engine/share/share.go", "New", `if why := p.check(); why != "" {`, `if why := p.check(); why == "?" {`},
	{"live/internal/engine/share/share.go", "dynamic", `refused != "" || !t.purity.dynamic(typ)`, `refused != ""`},
	{"live/internal/engine/share/share.go", "Find", `if !ok {`, `if !ok && first {`},
	{"live/internal/engine/share/share.go", "Find", `if r != shown {`, `if r == shown {`},
	{"live/internal/engine/share/share.go", "Find", `if first {`, `if true {`},
	{"live/internal/engine/share/share.go", "Find", `t.last.Store(view)`, ``},
	{"live/internal/engine/share/share.go", "Fill", `r.err = errCutOff`, ``},
	{"live/internal/engine/share/share.go", "Fill", `if r.err != nil {`, `if r.err == nil {`},
	{"live/internal/engine/share/share.go", "forget", `.Value() == r {`, `.Value() != nil {`},
	{"live/internal/engine/share/share.go", "Patch", `if from != nil {`, `if from == to {`},
	{"live/internal/engine/share/share.go", "worth", `c.credit--`, ``},
	{"live/internal/engine/share/share.go", "worth", `c.rest >= restFor`, `c.rest < 0`},
	{"live/internal/engine/share/patches.go", "get", `p.from == from && p.to == to`, `p.to == to`},
	{"live/internal/engine/share/patches.go", "get", `p.from == from && p.to == to`, `p.from == from`},
	{"live/internal/engine/share/patches.go", "trim", `len(ps.list) > maxPatches ||`, ``},
	{"live/internal/engine/share/patches.go", "trim", `|| ps.bytes > maxPatchBytes`, ``},
	{"live/internal/engine/share/patches.go", "weigh", `ps.bytes += p.counted`, ``},
	{"live/internal/engine/share/patches.go", "trim", `ps.bytes -= ps.list[0].counted`, ``},
	{"live/internal/engine/share/pure.go", "call", `if !slices.Contains(p.Pure, name) {`, `if slices.Contains(p.Pure, name) {`},
	{"live/internal/engine/share/pure.go", "call", `p.refers && !all.free()`, `false`},
	{"live/internal/engine/share/pure.go", "call", `if p.slices {`, `if !p.slices {`},
	{"live/internal/engine/share/pure.go", "node", `p.refers && !k.printable()`, `p.refers && k.unknown`},
	{"live/internal/engine/share/pure.go", "dynamic", `if q.refers {`, `if false {`},
	{"live/internal/engine/share/pure.go", "dynamic", `if q.method(t) != "" {`, `if q.method(t) == "?" {`},
	{"live/internal/engine/share/pure.go", "method", `if !p.named[m.Name] {`, `if p.named[m.Name] {`},
	{"live/internal/engine/share/kinds.go", "holdsPointer", `return holdsPointer(t.Key(), seen) || holdsPointer(t.Elem(), seen)`, `return holdsPointer(t.Key(), seen)`},
}
