package pushtest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile/push/pushtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRedisInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := pushtest.NewRedis(t).Client(t)
		ctx := t.Context()
		if err := client.Set(ctx, "key", "value", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		if got, err := client.Get(ctx, "key").Result(); got != "value" || err != nil {
			t.Errorf("got %q, %v before the key's end", got, err)
		}
		time.Sleep(2 * time.Minute)
		if got, err := client.Get(ctx, "key").Result(); err != redis.Nil { //nolint:errorlint // go-redis returns it bare
			t.Errorf("got %q, %v after the key's end", got, err)
		}
		now, err := client.Time(ctx).Result()
		if err != nil || time.Since(now) > time.Second {
			t.Errorf("the server's time is %s, %v, want the bubble's", now, err)
		}
	})
}

// TestRedisLargePipeline would hang on a bare pipe.
func TestRedisLargePipeline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := pushtest.NewRedis(t).Client(t)
		large := strings.Repeat("x", 100<<10)
		start := time.Now()
		cmds, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for range 5 {
				p.Set(t.Context(), "key", large, 0)
				p.Get(t.Context(), "key")
			}
			return nil
		})
		if err != nil || len(cmds) != 10 {
			t.Fatalf("%d replies, %v", len(cmds), err)
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("the pipeline took %s of the bubble's time, want none", d)
		}
	})
}

func TestRedisOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := pushtest.NewRedis(t)
		client := r.Client(t)
		if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
			t.Fatal(err)
		}
		r.Server.SetError("LOADING Redis is loading the dataset in memory")
		if err := client.Get(t.Context(), "key").Err(); err == nil {
			t.Error("no error while the server is loading")
		}
		r.Server.SetError("")
		if got, err := client.Get(t.Context(), "key").Result(); got != "value" || err != nil {
			t.Errorf("got %q, %v after the outage", got, err)
		}
	})
}

// TestRunInRealTime: the suite itself works without a bubble.
func TestRunInRealTime(t *testing.T) {
	t.Parallel()
	pushtest.Run(t, newMemory)
}
