// Package e2e holds the tests of the whole: real processes, a real Redis, a
// real browser, and SIGKILL.
package e2e
