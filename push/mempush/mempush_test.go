package mempush_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	pushtest.RunBubble(t, func(t *testing.T) pushtest.Backend {
		t.Helper()
		store := newStore(t, mempush.Config{MailboxLen: 50})
		return pushtest.Backend{
			Transport: store, States: store, Dead: store, Broker: store,
			Advance: time.Sleep, AppendStored: store.AppendStored, MailboxLen: 50,
		}
	})
}

func newStore(t *testing.T, cfg mempush.Config) *mempush.Transport {
	t.Helper()
	store, err := mempush.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestNewRefusesNegativeBounds(t *testing.T) {
	t.Parallel()
	for _, cfg := range []mempush.Config{{MailboxLen: -1}, {MaxAge: -1}, {DedupeTTL: -1}, {ResumeWindow: -1}, {InlineBytes: -1}, {HintLen: -1}} {
		if _, err := mempush.New(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

// hears is a push.Listener that blocks in its first Notify.
type hears struct {
	gate    chan struct{}
	notices int
	resyncs int
}

func (h *hears) Notify(n []push.Notice) {
	<-h.gate
	h.notices += len(n)
}
func (h *hears) Resync() { h.resyncs++ }

func TestTooManyHintsAreLostAloud(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, mempush.Config{HintLen: 10})
		ctx, cancel := context.WithCancel(t.Context())
		h := &hears{gate: make(chan struct{})}
		done := make(chan error)
		go func() { done <- store.Listen(ctx, "node", h) }()
		synctest.Wait()
		if _, err := store.Attach(ctx, "node", "s", 0); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if _, err := store.Append(ctx, push.Message{ID: string(rune('a' + i)), Session: "s", Action: "Go"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		close(h.gate)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if h.resyncs != 2 || h.notices > 20 {
			t.Errorf("%d resyncs and %d hints, want 2 resyncs and at most 20 hints", h.resyncs, h.notices)
		}
	})
}

func TestFlushChangesEpoch(t *testing.T) {
	t.Parallel()
	store := newStore(t, mempush.Config{})
	before, err := store.Attach(t.Context(), "node", "s", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(t.Context(), push.Message{ID: "a", Session: "s", Action: "Go"}); err != nil {
		t.Fatal(err)
	}
	store.Flush()
	after, err := store.Attach(t.Context(), "node", "s", 0)
	if err != nil {
		t.Fatal(err)
	}
	if after.Epoch == before.Epoch || after.Last != 0 {
		t.Errorf("attachment %+v after Flush, want an empty mailbox and another epoch than %s", after, before.Epoch)
	}
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	store := newStore(t, mempush.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Append(ctx, push.Message{ID: "a", Session: "s", Action: "Go"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestListenTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, mempush.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- store.Listen(ctx, "node", &hears{}) }()
		synctest.Wait()
		if err := store.Listen(ctx, "node", &hears{}); err == nil {
			t.Error("a second Listen of the same node: no error")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
