package redisstream_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestStoredFormStays fixes what other versions of this package read: the
// fields of a mailbox entry, of a hint, and a parked value. A change of these
// needs a new layout number.
func TestStoredFormStays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		ctx := t.Context()
		transport := newTransport(t, client, redisstream.Config{Partitions: 1, Prefix: "lm"})
		if _, err := transport.Attach(ctx, "a", "s", 0); err != nil {
			t.Fatal(err)
		}
		first := mustAppend(t, transport, push.Message{ID: "p0", Session: "s", Action: "Do"})
		r := mustAppend(t, transport, push.Message{ID: "p1", Session: "s", Action: "Do", Data: []byte(`{"n":1}`)})

		const payload = `{"v":1,"a":"Do","d":{"n":1}}`
		box, err := client.XRange(ctx, "lm:{0}:b:s", r.Seq.String(), r.Seq.String()).Result()
		if err != nil {
			t.Fatal(err)
		}
		want := []redis.XMessage{{ID: r.Seq.String() + "-0", Values: map[string]any{"v": first.Seq.String(), "j": "p1", "p": payload}}}
		if diff := cmp.Diff(box, want); diff != "" {
			t.Errorf("mailbox entry (-got +want):\n%s", diff)
		}
		hints, err := client.XRevRangeN(ctx, "lm:{0}:n:a", "+", "-", 1).Result()
		if err != nil || len(hints) != 1 {
			t.Fatalf("hints %v, %v", hints, err)
		}
		hint := map[string]any{"s": "s", "i": r.Seq.String(), "v": first.Seq.String(), "j": "p1", "p": payload}
		if diff := cmp.Diff(hints[0].Values, hint); diff != "" {
			t.Errorf("hint (-got +want):\n%s", diff)
		}
		if err := transport.Ack(ctx, "s", push.Ack{UpTo: r.Seq, Skipped: []push.Seq{r.Seq}}); err != nil {
			t.Fatal(err)
		}
		parked, err := client.HGetAll(ctx, "lm:{0}:k:s").Result()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parked, map[string]string{r.Seq.String(): first.Seq.String() + ":2:p1" + payload}); diff != "" {
			t.Errorf("parked (-got +want):\n%s", diff)
		}
	})
}

// TestNewerEntriesAreRead: a later version may add fields.
func TestNewerEntriesAreRead(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		ctx := t.Context()
		transport := newTransport(t, client, redisstream.Config{Partitions: 1})
		r := mustAppend(t, transport, message("s", "p0"))
		next := r.Seq + 10
		err := client.XAdd(ctx, &redis.XAddArgs{
			Stream: "lm:{0}:b:s", ID: next.String() + "-0",
			Values: []string{"new", "field", "v", r.Seq.String(), "j", "p1", "p", `{"v":1,"a":"Do","unheard":true}`},
		}).Err()
		if err != nil {
			t.Fatal(err)
		}
		b, err := transport.Pending(ctx, "s", r.Seq)
		want := []push.Entry{{Message: push.Message{ID: "p1", Session: "s", Action: "Do"}, Seq: next, Prev: r.Seq}}
		if diff := cmp.Diff(b.Entries, want); diff != "" || err != nil {
			t.Errorf("%v, pending (-got +want):\n%s", err, diff)
		}
	})
}

// TestNoTwoPushesShareAKey joins names of awkward characters in every way.
func TestNoTwoPushesShareAKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		transport := newTransport(t, client, redisstream.Config{Partitions: 1})
		var names []string
		for _, a := range []string{"", "a", ":", "%", "{", "}"} {
			for _, b := range []string{"a", ":", "%", "3A", "{x}"} {
				names = append(names, a+b)
			}
		}
		stored := 0
		for _, session := range names {
			for _, id := range names {
				if r := mustAppend(t, transport, push.Message{ID: id, Session: session, Action: "Do"}); r.Duplicate {
					t.Errorf("session %q, ID %q was taken for another's", session, id)
				}
				stored++
			}
		}
		for _, session := range names {
			page, err := transport.Read(t.Context(), session, 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			stored -= len(page)
			if got, want := len(page), len(names); got != want {
				t.Errorf("session %q holds %d pushes, want %d", session, got, want)
			}
		}
		if stored != 0 {
			t.Errorf("%d pushes are not where they belong", stored)
		}
	})
}
