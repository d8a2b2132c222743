package push_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
)

// fullStore is full for one session until it is not.
type fullStore struct {
	full  bool
	asked map[string]int
}

func (f *fullStore) Append(_ context.Context, m push.Message) (push.Receipt, error) {
	f.asked[m.Session]++
	if f.full && m.Session == "full" {
		return push.Receipt{}, push.ErrMailboxFull
	}
	return push.Receipt{ID: m.ID, Seq: 1, Nodes: 1}, nil
}

// TestFullMailboxIsNotAskedForEachPush: a caller that does not wait costs the
// store 200 calls a second, and nobody else anything.
func TestFullMailboxIsNotAskedForEachPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fullStore{full: true, asked: map[string]int{}}
		p := newPublisher(t, store, push.PublisherConfig{})
		s, others := p.Session("full"), p.Session("others")
		for range 1000 {
			for range 10 {
				if err := s.TriggerAction("Act", nil); !errors.Is(err, push.ErrMailboxFull) {
					t.Fatalf("got %v, want ErrMailboxFull", err)
				}
			}
			if err := others.TriggerAction("Act", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if got := store.asked["full"]; got != 200 {
			t.Errorf("the store is asked %d times a second, want 200", got)
		}
		if got := store.asked["others"]; got != 1000 {
			t.Errorf("others reach the store %d times of 1000", got)
		}

		// What may need no room goes to the store: a repeat, and what takes a place.
		before := store.asked["full"]
		_ = s.TriggerAction("Act", nil)
		for _, opt := range []push.Option{push.WithID("again"), push.Replacing("progress")} {
			_, _ = s.Trigger(t.Context(), "Act", nil, opt)
		}
		if got := store.asked["full"] - before; got != 3 {
			t.Errorf("the store is asked %d times, want 3", got)
		}

		store.full = false
		time.Sleep(5 * time.Millisecond)
		if err := s.TriggerAction("Act", nil); err != nil {
			t.Errorf("there is room again: %v", err)
		}
	})
}
