package mutation

import "slices"

// Table returns the faults that the unit tests of their packages must notice.
func Table() []Mutation { return slices.Concat(verdicts(), sharedFields(), ends(), sharing()) }

// in lists the faults of one file: function, old text, new text.
func in(file, tests string, faults ...[3]string) []Mutation {
	list := make([]Mutation, len(faults))
	for i, f := range faults {
		list[i] = Mutation{File: file, Func: f[0], Old: f[1], New: f[2], Tests: tests}
	}
	return list
}

// sharing lets views share what they must not.
func sharing() []Mutation {
	const dir = "live/internal/engine/share/"
	return slices.Concat(
		in(
			dir+"share.go", "",
			[3]string{"New", `if refused != "" {`, `if refused == "?" {`},
			[3]string{"New", `if why := p.check(); why != "" {`, `if why := p.check(); why == "?" {`},
			[3]string{"dynamic", `refused != "" || !t.purity.dynamic(typ)`, `refused != ""`},
			[3]string{"Find", `if !ok {`, `if !ok && first {`},
			[3]string{"Find", `if r != shown {`, `if r == shown {`},
			[3]string{"Find", `if first {`, `if true {`},
			[3]string{"Find", `t.last.Store(view)`, ``},
			[3]string{"Fill", `r.err = errCutOff`, ``},
			[3]string{"Fill", `if r.err != nil {`, `if r.err == nil {`},
			[3]string{"forget", `.Value() == r {`, `.Value() != nil {`},
			[3]string{"Patch", `if from != nil {`, `if from == to {`},
			[3]string{"worth", `c.credit--`, ``},
			[3]string{"worth", `c.rest >= restFor`, `c.rest < 0`},
		),
		in(
			dir+"patches.go", "",
			[3]string{"get", `p.from == from && p.to == to`, `p.to == to`},
			[3]string{"get", `p.from == from && p.to == to`, `p.from == from`},
			[3]string{"trim", `len(ps.list) > maxPatches ||`, ``},
			[3]string{"trim", `|| ps.bytes > maxPatchBytes`, ``},
			[3]string{"trim", `ps.bytes -= ps.list[0].counted`, ``},
			[3]string{"weigh", `ps.bytes += p.counted`, ``},
		),
		in(
			dir+"pure.go", "",
			[3]string{"call", `if !slices.Contains(p.Pure, name) {`, `if slices.Contains(p.Pure, name) {`},
			[3]string{"call", `p.refers && !all.free()`, `false`},
			[3]string{"call", `if p.slices {`, `if !p.slices {`},
			[3]string{"node", `p.refers && !k.printable()`, `p.refers && k.unknown`},
			[3]string{"dynamic", `if q.refers {`, `if false {`},
			[3]string{"dynamic", `if q.method(t) != "" {`, `if q.method(t) == "?" {`},
			[3]string{"method", `if !p.named[m.Name] {`, `if p.named[m.Name] {`},
		),
		in(
			dir+"kinds.go", "",
			[3]string{"holdsPointer", `holdsPointer(t.Key(), seen) || holdsPointer(t.Elem(), seen)`, `holdsPointer(t.Key(), seen)`},
		),
	)
}
