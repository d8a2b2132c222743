package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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

// TestCallersDoNotWaitBeyondTheirTime: those who lead a batch that hangs give up
// when their own time is over, like all others.
func TestCallersDoNotWaitBeyondTheirTime(t *testing.T) {
	t.Parallel()
	const callers = 32
	server := redistest.Start(t, redistest.Config{})
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: -1, ReadTimeout: time.Hour})
	t.Cleanup(func() { _ = client.Close() })
	transport := newTransport(t, client, redisstream.Config{})
	if err := transport.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Freeze(t)
	var wg sync.WaitGroup
	for i := range callers {
		limit := time.Second
		if i < 4 { // they go first and alone, and leave their place to one who waits
			limit /= 2
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			// The server answers none of them: who returns has not waited for it.
			if _, err := transport.Append(ctx, message("s", fmt.Sprintf("p%d", i))); err == nil {
				t.Errorf("caller %d: no error from a server that does not answer", i)
			}
		})
		if i < 4 {
			<-time.After(5 * time.Millisecond)
		}
	}
	wg.Wait()
	server.Thaw(t)
	if _, err := transport.Append(t.Context(), message("s", "last")); err != nil {
		t.Error(err)
	}
}

// TestWholeBatchIsToldWhyNot: no connection can be made, and each of those who
// share a batch hears the reason.
func TestWholeBatchIsToldWhyNot(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	admin := server.Client(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true, Password: "right"})
	t.Cleanup(func() { _ = client.Close() })
	transport := newTransport(t, client, redisstream.Config{})
	for _, command := range [][]any{
		{"CONFIG", "SET", "requirepass", "right"},
		{"PING"},
		{"CONFIG", "SET", "requirepass", "another"},
		{"CLIENT", "KILL", "TYPE", "normal"},
	} {
		if command[0] == "PING" {
			if err := transport.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else if err := admin.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, err := transport.Append(t.Context(), message("s", fmt.Sprintf("p%d", i)))
			if err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
				t.Errorf("push %d: %v, want WRONGPASS", i, err)
			}
		})
	}
	wg.Wait()
}
