// Package upgrade holds the test that what an earlier version has stored in Redis
// is read by today's: pages that are open, pushes that wait, jobs in every state. It
// has no code of its own, and nobody calls it.
//
// testdata holds one file for each released version, with every key of an
// application that was cut off in the middle of its work. A release adds its file:
//
//	go test -run TestEarlierVersions ./internal/upgrade -args -write=v0.2.0
package upgrade
