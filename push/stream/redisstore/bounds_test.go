package redisstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// TestScriptsAtTheirBounds: no script takes long, however much is stored. A stream
// of 4 MiB in entries of 25 bytes has more of them than any run goes through.
func TestScriptsAtTheirBounds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	client := server.Client(t)
	store := newStore(t, client)
	const size, entry = 4 << 20, 25
	create(t, store, "n", stream.Create{ContentType: "text/plain", MaxBytes: size + 100})
	fill(t, client, "n", size/entry, entry)
	for i := range 999 { // producers
		is(t, "HSet", client.HSet(t.Context(), "lm:stream:{g}:s:n", "p:"+strconv.Itoa(i), "0:0").Err(), nil)
	}
	is(t, "HSet", client.HSet(t.Context(), "lm:stream:{g}:s:n", "np", 999).Err(), nil)

	end := int64(size / entry * entry)
	for _, tt := range []struct {
		name string
		most time.Duration
		do   func(i int) error
	}{
		{"append", 5 * time.Millisecond, func(i int) error {
			_, err := store.Append(t.Context(), key, stream.Append{Data: []byte("x"), Producer: &stream.Producer{ID: "p", Seq: int64(i)}})
			return err
		}},
		{"read the end", 5 * time.Millisecond, func(int) error {
			_, err := store.Read(t.Context(), key, stream.Offset{Pos: end - 10}, 1<<20, true)
			return err
		}},
		{"read as much as one run reads", 50 * time.Millisecond, func(int) error {
			_, err := store.Read(t.Context(), key, stream.Offset{Pos: end / 2}, 1<<20, true)
			return err
		}},
		{"refuse what does not fit", 50 * time.Millisecond, func(int) error {
			_, err := store.Append(t.Context(), key, stream.Append{Data: make([]byte, 1<<20)})
			if !errors.Is(err, stream.ErrFull) {
				return fmt.Errorf("want ErrFull: %w", err)
			}
			return nil
		}},
		{"copy a fork of 256 KiB", 300 * time.Millisecond, func(i int) error {
			_, _, err := store.Create(t.Context(), named("fork"+strconv.Itoa(i)), stream.Create{Fork: forkOf("n", 256<<10, 0)})
			return err
		}},
	} {
		var took []time.Duration
		for i := range 5 {
			started := time.Now()
			if err := tt.do(i); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			took = append(took, time.Since(started))
		}
		slices.Sort(took)
		t.Logf("%s: %s", tt.name, took[0])
		if took[0] > tt.most {
			t.Errorf("%s takes %s, want at most %s", tt.name, took[0], tt.most)
		}
	}
	_, err := store.Append(t.Context(), key, stream.Append{Data: []byte("x"), Producer: &stream.Producer{ID: "one more"}})
	is(t, "one producer more", err, stream.ErrFull)

	started := time.Now()
	is(t, "Delete", store.Delete(t.Context(), key), nil) // buries it, as it has forks
	t.Logf("delete: %s", time.Since(started))
}

// fill writes entries past the scripts.
func fill(t *testing.T, client *redis.Client, name string, n, size int) {
	t.Helper()
	const add = "for i = ARGV[1] + 1, ARGV[2] do redis.call('XADD', KEYS[1], string.format('%.0f-0', i * #ARGV[3]), 'b', ARGV[3]) end"
	for from := 0; from < n; from += 50_000 {
		err := client.Eval(t.Context(), add, []string{"lm:stream:{g}:d:" + name}, from, min(from+50_000, n), strings.Repeat("x", size)).Err()
		is(t, "XAdd", ignoreNil(err), nil)
	}
	is(t, "HSet", client.HSet(t.Context(), "lm:stream:{g}:s:"+name, "tail", n*size).Err(), nil)
}

// TestForksAreBounded: so many forks of a source, and so many above each other.
func TestForksAreBounded(t *testing.T) {
	t.Parallel()
	store := newStore(t, redistest.Start(t, redistest.Config{}).Client(t))
	create(t, store, "0", stream.Create{Data: []byte("x")})
	for i := range redisstore.MaxDepth {
		create(t, store, strconv.Itoa(i+1), stream.Create{Fork: forkOf(strconv.Itoa(i), 1, 0)})
	}
	deepest := strconv.Itoa(redisstore.MaxDepth)
	_, _, err := store.Create(t.Context(), named("deeper"), stream.Create{Fork: forkOf(deepest, 1, 0)})
	is(t, "too deep", err, stream.ErrForks)
	for i := range redisstore.MaxDepth { // all but the last are remembered for its sake
		is(t, "Delete", store.Delete(t.Context(), named(strconv.Itoa(i))), nil)
	}
	started := time.Now()
	is(t, "Delete", store.Delete(t.Context(), named(deepest)), nil)
	if took := time.Since(started); took > 20*time.Millisecond {
		t.Errorf("the end of the last one takes %s", took)
	}
	_, err = store.Read(t.Context(), named("0"), stream.Start, 1, false)
	is(t, "the first source", err, stream.ErrNotFound)
}

// TestMemory: what is stored takes at most 1.9 times the text, in the chunks of
// a model's answer.
func TestMemory(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t, redistest.Config{}).Client(t)
	store := newStore(t, client)
	used := func() int64 {
		n := int64(0)
		for _, k := range client.Keys(t.Context(), "*").Val() {
			n += client.MemoryUsage(t.Context(), k, 0).Val()
		}
		return n
	}
	const streams, chunks, size = 20, 2000, 25
	for i := range streams {
		create(t, store, strconv.Itoa(i), stream.Create{ContentType: "text/plain"})
		fill(t, client, strconv.Itoa(i), chunks, size)
	}
	factor := float64(used()) / (streams * chunks * size)
	t.Logf("%.2f bytes in Redis for one of text", factor)
	if factor > 1.9 {
		t.Errorf("%.2f bytes in Redis for one of text, want at most 1.9", factor)
	}
}

func ignoreNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
