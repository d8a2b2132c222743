package redisstream_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/redisstream"
)

// oldCount is what versions before the bound of CountStart ran, on the same keys.
const oldCount = `
local n = redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return n`

// TestStartsOfTwoVersions: while nodes are replaced, old and new ones count the
// same starts.
func TestStartsOfTwoVersions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		ctx := t.Context()
		transport := newTransport(t, client, redisstream.Config{Partitions: 1, Prefix: "lm"})
		seq := mustAppend(t, transport, push.Message{ID: "p0", Session: "s", Action: "Do"}).Seq
		const key = "lm:{0}:x:s"
		before := func(what string, most, want int) {
			t.Helper()
			if got, err := transport.CountStart(ctx, "s", seq, most); err != nil || got != want {
				t.Errorf("%s: %d starts before, %v, want %d", what, got, err, want)
			}
		}
		old := func(what string, want int) {
			t.Helper()
			if got, err := client.Eval(ctx, oldCount, []string{key}, seq.String(), 60).Int(); err != nil || got != want {
				t.Errorf("%s: start %d, %v, want %d", what, got, err, want)
			}
		}
		before("the first", 2, 0)
		old("beside an old one", 2)
		before("beside others", 2, 2)
		old("an old one again", 3)
		before("alone", 4, 3)
		before("alone again", 4, 4)
		old("an old one that looks twice", 5)
		before("more than it may have", 4, 5)
		if ttl, err := client.TTL(ctx, key).Result(); err != nil || ttl <= 0 {
			t.Errorf("the starts live %v, %v, want a lifetime", ttl, err)
		}
		if err := client.HDel(ctx, key, seq.String()).Err(); err != nil { // as ClearStarts did
			t.Fatal(err)
		}
		before("after an old one has survived it", 2, 0)
		old("an old one", 2)
		if err := transport.ClearStarts(ctx, "s", seq); err != nil {
			t.Fatal(err)
		}
		old("after a new one has survived it", 1)
	})
}
