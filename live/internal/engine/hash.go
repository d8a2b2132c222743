package engine

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// digest is a hash of a value with all that it refers to. It is keyed with a
// random seed, so nobody can choose values that collide, and differs between
// processes.
type digest struct{ a, b uint64 }

// hashKeys are the random keys of a digest's two lanes. Each lane is the folded
// multiplication of the runtime's portable string hash.
type hashKeys struct{ a, b, c, d uint64 }

func newHashKeys() hashKeys {
	seed := maphash.MakeSeed()
	key := func(name string) uint64 { return maphash.String(seed, name) | 1 }
	return hashKeys{key("a"), key("b"), key("c"), key("d")}
}

func (k *hashKeys) start() digest { return digest{k.c, k.d} }

func fold(x, y uint64) uint64 {
	high, low := bits.Mul64(x, y)
	return high ^ low
}

func (k *hashKeys) word(s digest, x uint64) digest {
	return digest{fold(s.a^x, k.a), fold(s.b^x, k.b)}
}

func (k *hashKeys) pair(s digest, x, y uint64) digest {
	return digest{fold(x^k.c, y^s.a), fold(x^k.d, y^s.b)}
}

// text adds bytes and their number.
func (k *hashKeys) text(s digest, p []byte) digest {
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
