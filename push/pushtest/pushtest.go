// Package pushtest holds the suite that every store of pushes must pass, and a
// Redis for tests that runs in a testing/synctest bubble.
//
//	func TestConformance(t *testing.T) {
//		pushtest.RunBubble(t, func(t *testing.T) pushtest.Backend {
//			store, err := mempush.New(mempush.Config{})
//			if err != nil {
//				t.Fatal(err)
//			}
//			return pushtest.Backend{Transport: store, States: store, Dead: store, Broker: store, Advance: time.Sleep}
//		})
//	}
package pushtest

import (
	"cmp"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
)

// Backend is the store under test. All its parts work on the same data.
type Backend struct {
	Transport push.Transport
	States    push.States
	Dead      push.DeadLetters
	Broker    push.Broker

	// Advance lets d pass for the store and returns when the store's
	// housekeeping has seen to what is overdue then.
	Advance func(d time.Duration)

	// AppendStored puts an entry with this stored form into a mailbox. The
	// suite uses it to store what cannot be read.
	AppendStored func(session, id string, stored []byte) (push.Receipt, error)

	// MailboxLen is the bound that the store is configured with, at least 8.
	// Small ones make the suite faster. Defaults to 1,000.
	MailboxLen int
	// ResumeWindow is the store's. Defaults to 2 minutes.
	ResumeWindow time.Duration
	// MaxAge is the store's. Defaults to 7 days.
	MaxAge time.Duration
	// DedupeTTL is the store's. Defaults to 24 hours.
	DedupeTTL time.Duration
	// StateTTL is a lifetime for states that Advance can outwait. Defaults to
	// 1 minute.
	StateTTL time.Duration
}

// Run runs the suite in real time. newBackend is called for each test; the
// stores may share a server, since the suite makes up its own session IDs.
func Run(t *testing.T, newBackend func(t *testing.T) Backend) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newEnv(t, newBackend(t)))
		})
	}
}

// RunBubble runs the suite with each test in a testing/synctest bubble of its
// own, newBackend's call included.
func RunBubble(t *testing.T, newBackend func(t *testing.T) Backend) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { c.run(newEnv(t, newBackend(t))) })
		})
	}
}

// testCase is one of the suite's tests.
type testCase struct {
	name string
	run  func(e *env)
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		appendCases(), boundCases(), routeCases(), ackCases(), deadCases(), closeCases(), stateCases(), brokerCases(),
	} {
		all = append(all, group...)
	}
	return all
}

func (b *Backend) fill() {
	b.MailboxLen = cmp.Or(b.MailboxLen, 1000)
	b.ResumeWindow = cmp.Or(b.ResumeWindow, 2*time.Minute)
	b.MaxAge = cmp.Or(b.MaxAge, 7*24*time.Hour)
	b.DedupeTTL = cmp.Or(b.DedupeTTL, 24*time.Hour)
	b.StateTTL = cmp.Or(b.StateTTL, time.Minute)
}
