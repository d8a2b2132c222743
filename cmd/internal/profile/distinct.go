package profile

import (
	"math"
	"math/bits"
)

const (
	// distinctExact is how many distinct values are counted one by one.
	distinctExact = 4096
	// logPrecision gives 2^14 registers: a standard error of 0.81 %.
	logPrecision = 14
)

// distinct counts distinct values: exactly up to distinctExact, from there on
// by HyperLogLog.
type distinct struct {
	seen      map[uint64]struct{}
	registers []uint8
}

func (d *distinct) add(hash uint64) {
	if d.registers != nil {
		d.register(hash)
		return
	}
	if d.seen == nil {
		d.seen = make(map[uint64]struct{})
	}
	d.seen[hash] = struct{}{}
	if len(d.seen) <= distinctExact {
		return
	}
	d.registers = make([]uint8, 1<<logPrecision)
	for h := range d.seen {
		d.register(h)
	}
	d.seen = nil
}

func (d *distinct) register(hash uint64) {
	i := hash >> (64 - logPrecision)
	rank := uint8(bits.LeadingZeros64(hash<<logPrecision|1<<(logPrecision-1))) + 1 //nolint:gosec // at most 51
	d.registers[i] = max(d.registers[i], rank)
}

// count returns the number of distinct values, and whether it is exact.
func (d *distinct) count() (int64, bool) {
	if d.registers == nil {
		return int64(len(d.seen)), true
	}
	const m = 1 << logPrecision
	sum, zeros := 0.0, 0
	for _, r := range d.registers {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			zeros++
		}
	}
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && zeros > 0 {
		estimate = m * math.Log(m/float64(zeros)) // linear counting is better down here
	}
	return int64(math.Round(estimate)), false
}

// hash is FNV-1a with a finisher that spreads it over all bits. It is fixed,
// so that a file profiled twice gives one report.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
