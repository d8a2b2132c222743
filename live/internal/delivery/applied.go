package delivery

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"lastmile/push"
)

const (
	// maxApplied bounds the pushes that a state remembers by their IDs.
	maxApplied = 128
	// appliedFor is how long it remembers one: more than a failover with its
	// replay takes.
	appliedFor = 5 * time.Minute
	// hashLen is the length of a remembered ID.
	hashLen = 8
)

// Applied are the IDs of the pushes that went into a state last, oldest first.
// A replica that takes over may lack a push that is in a state already; its
// publisher stores it again, at a place that the state's cursor knows nothing
// of. Only a store with replicas needs this; else it is empty, and costs
// nothing. A snapshot may share them with the page.
type Applied []appliedID

type appliedID struct {
	hash uint64
	seq  push.Seq
}

func hashID(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:])
}

// has reports whether the push went into the state a while ago.
func (a Applied) has(e push.Entry) bool {
	if len(a) == 0 || e.ID == "" {
		return false
	}
	hash := hashID(e.ID)
	return slices.ContainsFunc(a, func(x appliedID) bool { return x.hash == hash && age(x, e.Seq) <= appliedFor })
}

func age(x appliedID, at push.Seq) time.Duration { return at.Time().Sub(x.seq.Time()) }

// with returns a with one more push, without those that are too old or too
// many. Like append it may use what lies behind a: of two results only the
// latest counts.
func (a Applied) with(x appliedID) Applied {
	a = a[max(0, len(a)-maxApplied+1):]
	for len(a) > 0 && age(a[0], x.seq) > appliedFor {
		a = a[1:]
	}
	return append(a, x)
}

// join returns a copy of a with the later ones of b.
func (a Applied) join(b Applied) Applied {
	all := slices.Clone(a)
	for _, x := range b {
		if !slices.ContainsFunc(all, func(y appliedID) bool { return y.hash == x.hash }) {
			all = all.with(x)
		}
	}
	return all
}

// Encode returns the stored form.
func (a Applied) Encode() []byte {
	if len(a) == 0 {
		return nil
	}
	b := make([]byte, 0, len(a)*hashLen)
	for _, x := range a {
		b = binary.BigEndian.AppendUint64(b, x.hash)
	}
	return b
}

// DecodeApplied reads the stored form. The places are not stored: all count as
// young as the state's own.
func DecodeApplied(b []byte, seq push.Seq) Applied {
	var a Applied
	for ; len(b) >= hashLen && len(a) < maxApplied; b = b[hashLen:] {
		a = append(a, appliedID{binary.BigEndian.Uint64(b), seq})
	}
	return a
}

func idOf(e push.Entry) appliedID { return appliedID{hashID(e.ID), e.Seq} }

// final reports whether a retry cannot help.
func final(reason push.Reason, err error) bool {
	return reason == push.ReasonRejected || errors.Is(err, push.ErrDecode)
}
