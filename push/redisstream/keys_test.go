package redisstream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestEveryKeyIsInTheTable uses everything there is and then looks at every
// key in the store.
func TestEveryKeyIsInTheTable(t *testing.T) {
	t.Parallel()
	transport, s := onServer(t, redisstream.Config{})
	c := s.Client(t)
	e, _ := listen(t, transport)
	useEverything(t, transport)
	patience.Until(t, "a hint", func() bool { n, _ := e.heard(); return len(n) > 0 })

	seen := map[string]bool{}
	for _, key := range c.Keys(t.Context(), "*").Val() {
		spec, ok := redisstream.SpecOf("lm", key)
		if !ok {
			t.Errorf("key %q is not in the table", key)
			continue
		}
		seen[spec.Name] = true
		if got := c.Type(t.Context(), key).Val(); got != spec.Type {
			t.Errorf("key %q is a %s, the table says %s", key, got, spec.Type)
		}
		ttl := c.PTTL(t.Context(), key).Val()
		if (ttl > 0) != spec.Expires {
			t.Errorf("key %q has the lifetime %s, the table says expires: %t", key, ttl, spec.Expires)
		}
		if most := 8 * 24 * time.Hour; ttl > most {
			t.Errorf("key %q lives for %s, more than %s", key, ttl, most)
		}
	}
	for _, spec := range redisstream.KeyTable() {
		if !seen[spec.Name] {
			t.Errorf("no key like %q was made", spec.Name)
		}
		if spec.Owner == "" || spec.Lifetime == "" || spec.Bound == "" {
			t.Errorf("the row of %q is not complete", spec.Name)
		}
	}
	for _, foreign := range []string{"other:cfg", "lm:unheard", "lm:{0", "lm:{0}:zz:s", "lm"} {
		if spec, ok := redisstream.SpecOf("lm", foreign); ok {
			t.Errorf("key %q was taken for %q", foreign, spec.Name)
		}
	}
}

// useEverything leaves a key of every kind behind.
func useEverything(t *testing.T, transport *redisstream.Transport) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := transport.Secret(ctx)
	must(err)
	must(transport.Tidy(ctx))
	for i := range 40 {
		session := fmt.Sprintf("s%d", i)
		_, err := transport.Attach(ctx, "a", session, 0)
		must(err)
		seqs := appendN(t, transport, session, 3)
		m := message(session, "progress")
		m.Replaces = "job"
		mustAppend(t, transport, m)
		_, err = transport.CountStart(ctx, session, seqs[2], 2)
		must(err)
		must(transport.DeadLetter(ctx, session, seqs[1], push.Failure{Reason: push.ReasonError}))
		must(transport.Ack(ctx, session, push.Ack{Node: "a", UpTo: seqs[0], Skipped: seqs[:1]}))
		r := push.ConnRecord{Session: session, Conn: "c", View: "v"}
		must(transport.States().CreateConn(ctx, r, time.Minute))
		_, err = transport.States().Commit(ctx, push.Commit{Conn: r, ConnTTL: time.Hour, View: &push.ViewRecord{State: []byte("{}")}, ViewTTL: time.Hour})
		must(err)
	}
	must(transport.CloseSession(ctx, "s1"))
	_, err = transport.Check(ctx, "a", []string{"never-used"})
	must(err)
}

// TestPartitionsSpreadOverSlots: equal ranges of slots, as masters have them,
// hold equal numbers of partitions.
func TestPartitionsSpreadOverSlots(t *testing.T) {
	t.Parallel()
	for _, masters := range []int{2, 4, 8, 16} {
		s := onServerPartitions(t, 16)
		count := make([]int, masters)
		for tag := range s {
			slot := keySlot(t, tag)
			count[slot*masters/16384]++
		}
		for _, n := range count {
			if n != 16/masters {
				t.Errorf("partitions on %d masters: %v", masters, count)
				break
			}
		}
	}
}

// onServerPartitions returns the hash tags that many sessions fall into.
func onServerPartitions(t *testing.T, n int) map[string]bool {
	t.Helper()
	tags := map[string]bool{}
	hook := &keyHook{seen: func(key string) {
		if _, rest, ok := strings.Cut(key, "{"); ok {
			tag, _, _ := strings.Cut(rest, "}")
			tags[tag] = true
		}
	}}
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	c.AddHook(hook)
	t.Cleanup(func() { _ = c.Close() })
	transport := newTransport(t, c, redisstream.Config{Partitions: n})
	for i := range 100 * n {
		if err := transport.States().DropConn(t.Context(), fmt.Sprintf("session-%d", i), "c"); err != nil {
			t.Fatal(err)
		}
	}
	if len(tags) != n {
		t.Fatalf("%d tags are in use, want %d", len(tags), n)
	}
	return tags
}

// keyHook answers every command itself and tells which key it was for.
type keyHook struct{ seen func(key string) }

func (h *keyHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *keyHook) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if key, ok := cmd.Args()[1].(string); ok {
			h.seen(key)
		}
		return nil
	}
}

func (h *keyHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// keySlot is CRC16 (XMODEM) modulo 16384, bit by bit.
func keySlot(t *testing.T, s string) int {
	t.Helper()
	crc := 0
	for _, b := range []byte(s) {
		for bit := 7; bit >= 0; bit-- {
			top := crc>>15&1 ^ int(b)>>bit&1
			crc = crc << 1 & 0xffff
			if top == 1 {
				crc ^= 0x1021
			}
		}
	}
	return crc % 16384
}
