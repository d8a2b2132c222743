// Package e2e holds the tests of the whole: real processes, a real Redis, a
// real browser, and SIGKILL. It has no code but tests: the parts are packages
// below. Nothing imports it.
package e2e
