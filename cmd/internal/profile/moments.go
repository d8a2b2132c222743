package profile

import "math"

// farShift brings numbers of any size into a range where their squares are numbers
// too.
const farShift = -520

// moments are mean and deviation (Welford 1962), kept twice: of what the values are
// from the first one, which keeps the digits of values that lie close together far
// from zero, and of the values made so small that neither differences nor squares leave the range. The second
// one loses what is near zero, so it counts only where the first has left it.
type moments struct {
	n         int64
	first     float64
	near, far welford
}

type welford struct{ mean, m2 float64 }

func (w *welford) add(v float64, n int64) {
	delta := v - w.mean
	w.mean += delta / float64(n)
	w.m2 += delta * (v - w.mean)
}

func (m *moments) add(v float64) {
	if m.n == 0 {
		m.first = v
	}
	m.n++
	m.near.add(v-m.first, m.n)
	m.far.add(math.Ldexp(v, farShift), m.n)
}

// result returns the mean and the deviation of a sample, which is 0 for one value. A
// deviation that is no number any more, which it may be up to the square root of two
// times the largest one, is the largest one.
func (m *moments) result() (mean, deviation float64) {
	mean, m2 := m.first+m.near.mean, m.near.m2
	if m.n > 1 {
		deviation = math.Sqrt(m2 / float64(m.n-1))
	}
	if finite(mean) && finite(m2) {
		return mean, deviation
	}
	if m.n > 1 {
		deviation = math.Ldexp(math.Sqrt(m.far.m2/float64(m.n-1)), -farShift)
	}
	return math.Ldexp(m.far.mean, -farShift), min(deviation, math.MaxFloat64)
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }
