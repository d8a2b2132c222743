package pushtest_test

import (
	"testing"
	"time"

	"lastmile/push/mempush"
	"lastmile/push/pushtest"
)

// newMemory returns an in-memory store with lifetimes that a test can outwait.
func newMemory(t *testing.T) pushtest.Backend {
	t.Helper()
	cfg := mempush.Config{MailboxLen: 20, ResumeWindow: 200 * time.Millisecond, MaxAge: 2 * time.Second, DedupeTTL: 2 * time.Second}
	store, err := mempush.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return pushtest.Backend{
		Transport: store, States: store, Dead: store, Broker: store,
		Advance:      func(d time.Duration) { <-time.After(d) },
		AppendStored: store.AppendStored,
		MailboxLen:   cfg.MailboxLen, ResumeWindow: cfg.ResumeWindow, MaxAge: cfg.MaxAge, DedupeTTL: cfg.DedupeTTL,
		StateTTL: time.Second,
	}
}
