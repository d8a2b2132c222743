package profile

import (
	"github.com/axiomhq/hyperloglog"
	"github.com/cespare/xxhash/v2"
)

const (
	// distinctExact is how many distinct values are counted one by one.
	distinctExact = 4096
	// sketchPrecision gives 2^17 registers, 128 KiB: a standard error of
	// 0.29 %, so 0.8 % is more than twice what is usual.
	sketchPrecision = 17
)

// distinct counts distinct values by their hashes: exactly up to distinctExact,
// from there on by HyperLogLog. The hash is fixed, so a file profiled twice
// gives one report.
type distinct struct {
	seen   map[uint64]struct{}
	sketch *hyperloglog.Sketch
}

func (d *distinct) add(hash uint64) {
	if d.sketch != nil {
		d.sketch.InsertHash(hash)
		return
	}
	if d.seen == nil {
		d.seen = make(map[uint64]struct{})
	}
	d.seen[hash] = struct{}{}
	if len(d.seen) <= distinctExact {
		return
	}
	d.sketch, _ = hyperloglog.NewSketch(sketchPrecision, true) // it fails outside 4 to 18 only
	for h := range d.seen {
		d.sketch.InsertHash(h)
	}
	d.seen = nil
}

// count returns the number of distinct values, and whether it is exact.
func (d *distinct) count() (int64, bool) {
	if d.sketch == nil {
		return int64(len(d.seen)), true
	}
	return int64(d.sketch.Estimate()), false //nolint:gosec // at most the number of rows
}

// hash is the value's hash for counting; 64 bits make a collision unlikely.
func hash(b []byte) uint64 { return xxhash.Sum64(b) }
