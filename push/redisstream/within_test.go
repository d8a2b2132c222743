package redisstream_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/internal/script"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestAppendWithinAScript: a push and something else are stored together, once,
// and the session's nodes hear of it.
func TestAppendWithinAScript(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t, redistest.Config{}).Client(t)
	transport := newTransport(t, client, redisstream.Config{})
	p, err := push.NewPublisher(transport, push.PublisherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.Attach(t.Context(), "node", "s", 0); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		r, err := script.Publish(t.Context(), p, client, message("s", "once"), func(ctx context.Context, s script.Append) (any, error) {
			text := "local function append(KEYS, ARGV) " + s.Body + " end redis.call('INCR', 'other') return append(KEYS, ARGV)"
			return redis.NewScript(text).Run(ctx, client, s.Keys, s.Args...).Result()
		})
		if err != nil || r.Duplicate != want || r.Seq == 0 || !want && r.Nodes != 1 {
			t.Errorf("publish %d: %+v, %v", i, r, err)
		}
	}
	if n, err := client.Get(t.Context(), "other").Int(); err != nil || n != 2 {
		t.Errorf("the other = %d, %v", n, err)
	}
	if entries := mustRead(t, transport, 0); len(entries) != 1 || entries[0].ID != "once" {
		t.Errorf("mailbox: %+v", entries)
	}
}

func TestScriptsThatHaveNoPlaceForAppends(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	own, other := server.Client(t), server.Client(t)
	for _, tt := range []struct {
		name string
		at   redis.UniversalClient
		cfg  redisstream.Config
		want error
	}{
		{"its own", own, redisstream.Config{}, nil},
		{"another client", other, redisstream.Config{}, script.ErrApart},
		{"no client", nil, redisstream.Config{}, script.ErrApart},
		{"several servers", own, redisstream.Config{Sharded: true}, script.ErrApart},
		{"waits for replicas", own, redisstream.Config{WaitReplicas: 1}, script.ErrApart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Prefix = tt.name
			transport := newTransport(t, own, tt.cfg)
			if s, err := transport.ScriptAppend(t.Context(), tt.at, message("s", "id")); !errors.Is(err, tt.want) || err == nil && s.Body == "" {
				t.Errorf("ScriptAppend: %d bytes, %v; want %v", len(s.Body), err, tt.want)
			}
		})
	}
}
