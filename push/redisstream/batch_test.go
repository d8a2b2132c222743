package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lastmile/internal/redistest"
	"lastmile/push/redisstream"
)

// TestCallersThatGiveUpHarmNobody: appends share pipelines, and some of those
// who wait, or lead, stop waiting.
func TestCallersThatGiveUpHarmNobody(t *testing.T) {
	t.Parallel()
	const callers, each = 64, 20
	server := redistest.Start(t, redistest.Config{})
	transport := newTransport(t, server.Client(t), redisstream.Config{MailboxLen: callers * each})
	if err := transport.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	accepted := map[string]bool{}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", c, i)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if c%2 == 1 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*50*time.Microsecond)
				}
				_, err := transport.Append(ctx, message("s", id))
				cancel()
				switch {
				case err == nil:
					mu.Lock()
					accepted[id] = true
					mu.Unlock()
				case c%2 == 0:
					t.Errorf("push %s of a patient caller: %v", id, err)
				case !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("push %s: %v, want success or its own deadline", id, err)
				}
			}
		})
	}
	wg.Wait()
	stored := map[string]bool{}
	for _, e := range mustRead(t, transport, 0) {
		if stored[e.ID] {
			t.Errorf("push %s is stored twice", e.ID)
		}
		stored[e.ID] = true
	}
	for id := range accepted {
		if !stored[id] {
			t.Errorf("push %s was accepted and is not stored", id)
		}
	}
	if len(accepted) < callers/2*each {
		t.Errorf("%d pushes accepted, want at least %d", len(accepted), callers/2*each)
	}
}
