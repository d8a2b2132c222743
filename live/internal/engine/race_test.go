//go:build race

package engine_test

// slack is what sync.Pool costs under the race detector, which makes it forget
// things at random.
const slack = 2000
