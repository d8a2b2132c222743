package redisstream_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestAppendCost counts what a push to a page that is open makes the server do:
// each command is a part of the time until the page hears of it. Waiting for
// replicas is none of it unless asked for.
func TestAppendCost(t *testing.T) {
	t.Parallel()
	const pushes = 100
	transport, s := onServer(t, redisstream.Config{})
	client := s.Client(t)
	if _, err := transport.Attach(t.Context(), "a", "s", 0); err != nil {
		t.Fatal(err)
	}
	r := mustAppend(t, transport, message("s", "first"))
	if err := transport.Ack(t.Context(), "s", push.Ack{UpTo: r.Seq}); err != nil {
		t.Fatal(err)
	}
	if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	appendN(t, transport, "s", pushes)

	got := commandCalls(t, client)
	delete(got, "config|resetstat")
	delete(got, "config") // that is how Redis 6.2 counts it
	most := map[string]int{
		"evalsha": pushes, "hgetall": pushes, "get": pushes, "xlen": pushes, "hlen": pushes, "time": pushes,
		"hset": pushes, "set": pushes, "zadd": pushes, "xadd": 2 * pushes,
		"expire": 1,          // the push after an acknowledgement ends the short life of history
		"xtrim":  pushes / 2, // one in sixteen, by the clock
	}
	for name, n := range got {
		if n > most[name] {
			t.Errorf("%d pushes made %d calls of %s, want at most %d", pushes, n, name, most[name])
		}
	}
}

// commandCalls returns the calls of each command since the statistics were
// reset, those of scripts too.
func commandCalls(t *testing.T, client *redis.Client) map[string]int {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		count, _, _ := strings.Cut(rest, ",")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		calls[strings.TrimSpace(name)] = n
	}
	return calls
}
