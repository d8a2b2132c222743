package redisstore_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/internal/redistest"
	"lastmile/push/pushtest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

func named(name string) stream.Key { return stream.Key{Group: "g", Name: name} }

func create(t testing.TB, store stream.Store, name string, c stream.Create) stream.State {
	t.Helper()
	state, _, err := store.Create(t.Context(), named(name), c)
	if err != nil {
		t.Fatalf("Create %s: %v", name, err)
	}
	return state
}

func forkOf(source string, pos, sub int64) *stream.Fork {
	return &stream.Fork{Source: source, At: stream.Offset{Pos: pos}, Sub: sub}
}

// TestForks: what a fork begins with.
func TestForks(t *testing.T) {
	t.Parallel()
	store := newStore(t, pushtest.NewRedis(t).Client(t))
	create(t, store, "text", stream.Create{ContentType: "text/plain", Data: []byte("one ")})
	create(t, store, "json", stream.Create{ContentType: "application/json", Data: []byte(`{"a":"},{"},2,`)})
	for _, data := range []string{"two ", "three"} {
		_, err := store.Append(t.Context(), named("text"), stream.Append{Data: []byte(data)})
		is(t, "Append", err, nil)
	}
	for i, tt := range []struct {
		create stream.Create
		want   string
		err    error
	}{
		{stream.Create{Fork: &stream.Fork{Source: "text", At: stream.Start}}, "one two three", nil},
		{stream.Create{Fork: forkOf("text", 0, 0)}, "", nil},
		{stream.Create{Fork: forkOf("text", 4, 0), Data: []byte("more"), Closed: true}, "one more", nil},
		{stream.Create{Fork: forkOf("text", 6, 0)}, "one tw", nil},
		{stream.Create{Fork: forkOf("text", 4, 2)}, "one tw", nil},
		{stream.Create{Fork: forkOf("text", 4, 4)}, "one two ", nil},
		{stream.Create{Fork: forkOf("text", 4, 5)}, "", stream.ErrInvalid},
		{stream.Create{Fork: forkOf("text", 14, 0)}, "", stream.ErrInvalid},
		{stream.Create{Fork: forkOf("text", 0, 0), ContentType: "text/html"}, "", stream.ErrConflict},
		{stream.Create{Fork: forkOf("json", 0, 1)}, `{"a":"},{"},`, nil},
		{stream.Create{Fork: forkOf("json", 0, 2)}, `{"a":"},{"},2,`, nil},
		{stream.Create{Fork: forkOf("json", 0, 3)}, "", stream.ErrInvalid},
		{stream.Create{Fork: forkOf("other", 0, 0)}, "", stream.ErrNotFound},
		{stream.Create{Fork: forkOf("text", 13, 0), MaxBytes: 12}, "", stream.ErrFull},
	} {
		name := fmt.Sprintf("fork%d", i)
		state, created, err := store.Create(t.Context(), named(name), tt.create)
		is(t, name, err, tt.err)
		if err != nil {
			_, err := store.Read(t.Context(), named(name), stream.Start, 1, false)
			is(t, name+" after a refusal", err, stream.ErrNotFound)
			continue
		}
		if got := all(t, store, named(name), stream.Start); got != tt.want || !created || state.Closed != tt.create.Closed {
			t.Errorf("%s holds %q, want %q; %+v", name, got, tt.want, state)
		}
		again, created, err := store.Create(t.Context(), named(name), tt.create)
		if err != nil || created || again != state {
			t.Errorf("%s again: %+v, %v, %v", name, again, created, err)
		}
	}
}

// TestDeletedSource: a source that has forks is not there any more, but neither
// is its name free, until the last of them has gone, in whatever way.
func TestDeletedSource(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, store *redisstore.Store)
	}{
		{"forks are deleted", func(t *testing.T, store *redisstore.Store) {
			t.Helper()
			is(t, "delete the fork of a fork", store.Delete(t.Context(), named("c")), nil)
			is(t, "delete the fork", store.Delete(t.Context(), named("b")), nil)
		}},
		{"the fork goes first", func(t *testing.T, store *redisstore.Store) {
			t.Helper()
			is(t, "delete the fork", store.Delete(t.Context(), named("b")), nil)
			_, err := store.Read(t.Context(), named("a"), stream.Start, 1, false)
			is(t, "the source while a fork of the fork lives", err, stream.ErrGone)
			is(t, "delete the fork of a fork", store.Delete(t.Context(), named("c")), nil)
		}},
		{"forks expire", func(t *testing.T, store *redisstore.Store) {
			t.Helper()
			is(t, "Expire", store.Expire(t.Context(), named("b"), time.Minute), nil)
			is(t, "Expire", store.Expire(t.Context(), named("c"), time.Minute), nil)
			time.Sleep(time.Minute + time.Millisecond)
			for _, name := range []string{"c", "b"} {
				_, err := store.Read(t.Context(), named(name), stream.Start, 1, false)
				is(t, "an expired fork", err, stream.ErrNotFound)
			}
		}},
		{"nobody asks for what has expired", func(t *testing.T, store *redisstore.Store) {
			t.Helper()
			is(t, "Expire", store.Expire(t.Context(), named("c"), time.Minute), nil)
			time.Sleep(32 * 24 * time.Hour)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newStore(t, pushtest.NewRedis(t).Client(t))
				create(t, store, "a", stream.Create{Data: []byte("abc")})
				create(t, store, "b", stream.Create{Fork: forkOf("a", 2, 0)})
				create(t, store, "c", stream.Create{Fork: forkOf("b", 1, 0)})
				is(t, "Delete", store.Delete(t.Context(), named("a")), nil)
				is(t, "Delete again", store.Delete(t.Context(), named("a")), stream.ErrGone)
				_, _, err := store.Create(t.Context(), named("a"), stream.Create{})
				is(t, "Create under the name", err, stream.ErrGone)
				_, _, err = store.Create(t.Context(), named("d"), stream.Create{Fork: forkOf("a", 0, 0)})
				is(t, "another fork", err, stream.ErrSource)
				_, err = store.Open(t.Context(), named("a"), stream.Claim{})
				is(t, "Open", err, stream.ErrGone)
				if got := all(t, store, named("b"), stream.Start) + all(t, store, named("c"), stream.Start); got != "aba" {
					t.Errorf("the forks hold %q", got)
				}
				tt.end(t, store)
				_, err = store.Read(t.Context(), named("a"), stream.Start, 1, false)
				is(t, "the source at last", err, stream.ErrNotFound)
				create(t, store, "a", stream.Create{})
			})
		})
	}
}

// TestHalfCopied: a fork whose source goes while it is copied is not there.
func TestHalfCopied(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t, redistest.Config{}).Client(t)
	store := newStore(t, client)
	create(t, store, "a", stream.Create{Data: []byte(strings.Repeat("x", 1000))})
	// What a process leaves behind that dies while it copies.
	create(t, store, "b", stream.Create{Fork: forkOf("a", 1000, 0)})
	hash := "lm:stream:{g}:s:b"
	is(t, "HSet", client.HSet(t.Context(), hash, "st", "new", "to", "1000", "tail", "500", "exp", time.Now().Add(200*time.Millisecond).UnixMilli()).Err(), nil)
	_, err := store.Read(t.Context(), named("b"), stream.Start, 1, false)
	is(t, "Read", err, stream.ErrNotFound)
	_, _, err = store.Create(t.Context(), named("b"), stream.Create{Fork: forkOf("a", 1000, 0)})
	is(t, "Create", err, stream.ErrBusy)
	_, err = store.Append(t.Context(), named("b"), stream.Append{Data: []byte("x")})
	is(t, "Append", err, stream.ErrNotFound)
	is(t, "Delete", store.Delete(t.Context(), named("b")), stream.ErrNotFound)
	<-time.After(250 * time.Millisecond)
	create(t, store, "b", stream.Create{Fork: forkOf("a", 1000, 0)})
	if got := all(t, store, named("b"), stream.Start); len(got) != 1000 {
		t.Errorf("%d bytes", len(got))
	}
	is(t, "Delete", store.Delete(t.Context(), named("b")), nil)
	is(t, "Delete", store.Delete(t.Context(), named("a")), nil)
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("left behind: %v", keys)
	}
}

// TestLifetimes: which uses prolong a lifetime, and that Redis drops what has ended.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := pushtest.NewRedis(t)
		store := newStore(t, redis.Client(t))
		create(t, store, "slides", stream.Create{TTL: time.Minute, Data: []byte("x")})
		create(t, store, "ends", stream.Create{ExpiresAt: time.Now().Add(time.Minute).Format(time.RFC3339Nano), Data: []byte("x")})
		use := func(name string, touch bool) error {
			_, err := store.Read(t.Context(), named(name), stream.Start, 1, touch)
			return err
		}
		time.Sleep(50 * time.Second)
		is(t, "a use", use("slides", true), nil)
		is(t, "a use", use("ends", true), nil)
		time.Sleep(50 * time.Second)
		is(t, "a look", use("slides", false), nil)
		is(t, "after the end", use("ends", false), stream.ErrNotFound)
		_, err := store.Append(t.Context(), named("slides"), stream.Append{Data: []byte("y")})
		is(t, "Append", err, nil)
		time.Sleep(50 * time.Second)
		is(t, "after an append", use("slides", false), nil)
		time.Sleep(11 * time.Second)
		is(t, "after a look", use("slides", false), stream.ErrNotFound)
		create(t, store, "unseen", stream.Create{TTL: time.Minute, Data: []byte("x")})
		time.Sleep(2 * time.Minute)
		if keys := redis.Client(t).Keys(t.Context(), "*").Val(); len(keys) > 0 {
			t.Errorf("left behind: %v", keys)
		}
		_, _, err = store.Create(t.Context(), named("both"), stream.Create{TTL: time.Minute, ExpiresAt: "2030-01-01T00:00:00Z"})
		is(t, "two lifetimes", err, stream.ErrInvalid)
	})
}
