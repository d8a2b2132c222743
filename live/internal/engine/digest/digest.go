// Package digest hashes Go values by memory: quickly, and so that equal
// digests mean equal values. A plan is made once for a type; with it, one pass
// reads a value and all that it refers to. The package is no general hash: its
// digests are keyed at random for each process, so they are never stored or
// sent. Package engine calls it to find unchanged rows, package share to find
// equal states; nothing else should.
package digest

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// Digest is a hash of a value with all that it refers to. Nobody can choose
// values that collide, because it is keyed with a random seed.
type Digest struct{ a, b uint64 }

// Keys are the random keys of a digest's two lanes. Each lane is the folded
// multiplication of the runtime's portable string hash.
type Keys struct{ a, b, c, d uint64 }

// NewKeys returns random keys.
func NewKeys() Keys {
	seed := maphash.MakeSeed()
	key := func(name string) uint64 { return maphash.String(seed, name) | 1 }
	return Keys{key("a"), key("b"), key("c"), key("d")}
}

func (k *Keys) start() Digest { return Digest{k.c, k.d} }

func fold(x, y uint64) uint64 {
	high, low := bits.Mul64(x, y)
	return high ^ low
}

func (k *Keys) word(s Digest, x uint64) Digest {
	return Digest{fold(s.a^x, k.a), fold(s.b^x, k.b)}
}

func (k *Keys) pair(s Digest, x, y uint64) Digest {
	return Digest{fold(x^k.c, y^s.a), fold(x^k.d, y^s.b)}
}

// text adds bytes and their number.
func (k *Keys) text(s Digest, p []byte) Digest {
	n := len(p)
	for ; len(p) > 16; p = p[16:] {
		s = k.pair(s, binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:]))
	}
	var x, y uint64
	switch m := len(p); {
	case m >= 8:
		x, y = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[m-8:])
	case m >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[m-4:]))
	case m > 0:
		x = uint64(p[0])<<16 | uint64(p[m/2])<<8 | uint64(p[m-1])
	}
	return k.word(k.pair(s, x, y), uint64(n))
}
