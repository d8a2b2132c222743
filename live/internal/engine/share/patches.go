package share

import (
	"slices"
	"sync"
)

// patches are the latest patches between renders, the oldest first.
type patches struct {
	list  []*patch
	bytes int // that the list is known to hold
}

// patch leads from one render to another, or from 0 for a snapshot.
type patch struct {
	from, to uint64
	once     sync.Once
	out      []byte
	changed  bool
	counted  int // of its bytes in patches.bytes
}

const (
	maxPatches    = 32
	maxPatchBytes = 256 << 10
)

// get returns the patch between two renders, which its once makes.
func (ps *patches) get(from, to uint64) *patch {
	for _, p := range ps.list {
		if p.from == from && p.to == to {
			return p
		}
	}
	p := &patch{from: from, to: to}
	ps.list = append(ps.list, p)
	ps.trim()
	return p
}

// weigh counts the bytes of a patch that was just made, and drops the oldest
// patches where all of them are too many.
func (ps *patches) weigh(p *patch) {
	if slices.Contains(ps.list, p) {
		p.counted = len(p.out)
		ps.bytes += p.counted
		ps.trim()
	}
}

func (ps *patches) trim() {
	for len(ps.list) > maxPatches || ps.bytes > maxPatchBytes {
		ps.bytes -= ps.list[0].counted
		ps.list[0] = nil
		ps.list = ps.list[1:]
	}
}
