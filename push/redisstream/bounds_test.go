package redisstream_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// most is how many pushes a mailbox holds at the largest MailboxLen, and with all
// the ends that have room beyond it.
const (
	longest = 10_000
	most    = longest + longest/4
)

// full is a mailbox at the largest size that its bound allows.
type full struct {
	t         *testing.T
	transport *redisstream.Transport
	client    *redis.Client
	seqs      []push.Seq
	dumps     map[string]string // by key
}

// newFull makes one of entries that were written a moment ago.
func newFull(t *testing.T) *full {
	t.Helper()
	client := redistest.Start(t, redistest.Config{}).Client(t)
	f := &full{t: t, client: client, transport: newTransport(t, client, redisstream.Config{MailboxLen: longest})}
	f.must(f.transport.Ping(t.Context()))
	now := time.Now().Add(-time.Second).UnixMicro()
	for from := 0; from < most; from += 1000 {
		pipe := client.Pipeline()
		for i := from; i < min(from+1000, most); i++ {
			seq := push.Seq(now + int64(i))
			payload, err := push.EncodeMessage(message("s", strconv.Itoa(i)))
			f.must(err)
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: f.key("b"), ID: seq.String() + "-0", Values: []any{"v", max(seq-1, 0).String(), "j", strconv.Itoa(i), "p", payload}})
			f.seqs = append(f.seqs, seq)
		}
		_, err := pipe.Exec(t.Context())
		f.must(err)
	}
	f.must(client.HSet(t.Context(), f.key("m"), "s", f.seqs[most-1].String(), "e", "-1").Err())
	f.must(client.ZAdd(t.Context(), f.key("o"), redis.Z{Score: 1, Member: "s"}).Err())
	return f
}

// key returns the session's key of a kind (see redisstream.KeyTable).
func (f *full) key(kind string) string {
	tag, session, _ := strings.Cut(f.transport.Mailbox("s"), "b:s")
	if kind == "o" {
		return tag + "o"
	}
	return tag + kind + ":s" + session
}

func (f *full) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// copied returns a copy of f on a server of its own.
func (f *full) copied(t *testing.T) *full {
	t.Helper()
	client := redistest.Start(t, redistest.Config{}).Client(t)
	c := &full{t: t, client: client, seqs: f.seqs, transport: newTransport(t, client, redisstream.Config{MailboxLen: longest})}
	c.must(c.transport.Ping(t.Context()))
	for key, dump := range f.dumps {
		c.must(client.Restore(t.Context(), key, time.Hour, dump).Err())
	}
	return c
}

// dump keeps what copied copies.
func (f *full) dump() {
	f.t.Helper()
	f.dumps = map[string]string{}
	for _, kind := range []string{"m", "b", "k", "o"} {
		if dump, err := f.client.Dump(f.t.Context(), f.key(kind)).Result(); err == nil {
			f.dumps[f.key(kind)] = dump
		}
	}
}

// park has everything acknowledged by a view that has none of the actions.
func (f *full) park() {
	f.t.Helper()
	f.must(f.transport.Ack(f.t.Context(), "s", push.Ack{UpTo: f.seqs[most-1], Skipped: f.seqs}))
}

// TestScriptsAtTheirBounds counts the commands that each script calls at the largest
// sizes that the bounds allow: all others wait for it. A script that is not in the
// table fails the test.
func TestScriptsAtTheirBounds(t *testing.T) {
	t.Parallel()
	waiting := newFull(t)
	waiting.dump()
	parked := waiting.copied(t)
	parked.park()
	parked.dump()
	tested := strings.Fields("lib settings entry take count_start commit dead_letter") // parts, and scripts about one record or entry
	for _, tt := range scriptSizes() {
		tested = append(tested, tt.script)
		t.Run(tt.script+" "+tt.size, func(t *testing.T) {
			t.Parallel()
			from := waiting
			if tt.parked {
				from = parked
			}
			f := from.copied(t)
			f.must(f.client.ConfigResetStat(t.Context()).Err())
			f.must(tt.run(t.Context(), f))
			calls := commandCalls(t, f.client)
			runs, within := 0, 0
			for name, n := range calls {
				switch name {
				case "evalsha": // one that the server does not know is followed by eval
					runs += n
				case "eval", "config|resetstat", "config", "info", "client|setinfo", "hello":
				default:
					within += n
				}
			}
			if runs == 0 {
				t.Fatalf("no script ran: %v", calls)
			}
			if within > tt.most*runs {
				t.Errorf("%d commands in %d runs, want at most %d a run: %v", within, runs, tt.most, calls)
			}
			slow, _ := f.client.SlowLogGet(t.Context(), 100).Result()
			var slowest time.Duration
			for _, l := range slow {
				slowest = max(slowest, l.Duration)
			}
			t.Logf("report: %d commands in %d runs; slowest call of all %v", within, runs, slowest)
		})
	}
	files, err := os.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(file.Name(), ".lua"); !slices.Contains(tested, name) {
			t.Errorf("%s is at the bounds of nothing", name)
		}
	}
}

// sized is a script at the largest size of a bound.
type sized struct {
	script, size string
	most         int // commands of one run
	parked       bool
	run          func(ctx context.Context, f *full) error
}

func scriptSizes() []sized {
	return []sized{
		{"append", "into a full mailbox", 20, false, func(ctx context.Context, f *full) error {
			_, err := f.transport.Append(ctx, message("s", "more"))
			return expect(err, push.ErrMailboxFull)
		}},
		{"append", "into one that is full of what is acknowledged", 60, false, func(ctx context.Context, f *full) error {
			if err := f.client.HSet(ctx, f.key("m"), "a", f.seqs[most-1].String()).Err(); err != nil {
				return err
			}
			f.must(f.client.XTrimMaxLen(ctx, f.key("b"), longest).Err())
			f.must(f.client.ConfigResetStat(ctx).Err())
			_, err := f.transport.Append(ctx, message("s", "more"))
			return err
		}},
		{"append", "the last Replaces key that is kept", 2*longest + 100, false, func(ctx context.Context, f *full) error {
			for i := 0; i < 2*longest; i += 1000 {
				var fields []any
				for j := i; j < i+1000; j++ {
					fields = append(fields, "key"+strconv.Itoa(j), strconv.Itoa(j+1))
				}
				f.must(f.client.HSet(ctx, f.key("u"), fields...).Err())
			}
			f.must(f.client.XTrimMaxLen(ctx, f.key("b"), 10).Err())
			f.must(f.client.ConfigResetStat(ctx).Err())
			_, err := f.transport.Append(ctx, push.Message{ID: "more", Session: "s", Action: "Do", Replaces: "more"})
			return err
		}},
		{"attach", "a full mailbox", 15, false, attachMost},
		{"attach", "everything parked", 15, true, attachMost},
		{"pending", "a full mailbox", 5, false, pendingMost},
		{"pending", "everything parked", 5, true, pendingMost},
		{"ack", "parks everything, in parts", 2*500 + 40, false, func(ctx context.Context, f *full) error {
			return f.transport.Ack(ctx, "s", push.Ack{UpTo: f.seqs[most-1], Skipped: f.seqs})
		}},
		{"ack", "of another view, where everything is parked", 20, true, func(ctx context.Context, f *full) error {
			return f.transport.Ack(ctx, "s", push.Ack{After: f.seqs[most-1], UpTo: f.seqs[most-1]})
		}},
		{"ack", "everything", 20, false, func(ctx context.Context, f *full) error {
			return f.transport.Ack(ctx, "s", push.Ack{UpTo: f.seqs[most-1]})
		}},
		{"expire", "a full mailbox, a hundred at a time", 500, false, expireMost},
		{"expire", "everything parked, a hundred at a time", 500, true, expireMost},
		{"check", "256 sessions", 4 * 256, false, func(ctx context.Context, f *full) error {
			var sessions []string
			for i := range 10_000 {
				sessions = append(sessions, strconv.Itoa(i))
			}
			_, err := f.transport.Check(ctx, "a", sessions)
			return err
		}},
		{"close", "everything parked", 10, true, func(ctx context.Context, f *full) error { return f.transport.CloseSession(ctx, "s") }},
	}
}

func attachMost(ctx context.Context, f *full) error {
	_, err := f.transport.Attach(ctx, "a", "s", 0)
	return err
}

func pendingMost(ctx context.Context, f *full) error {
	got, err := f.transport.Pending(ctx, "s", 0)
	if len(got.Entries) != most {
		f.t.Errorf("%d entries are pending, want %d", len(got.Entries), most)
	}
	return err
}

func expireMost(ctx context.Context, f *full) error {
	return newTransport(f.t, f.client, redisstream.Config{MailboxLen: longest, MaxAge: 100 * time.Millisecond}).Tidy(ctx)
}

func expect(err, want error) error {
	if err == nil || !strings.Contains(err.Error(), want.Error()) {
		return fmt.Errorf("%w, want %w", err, want)
	}
	return nil
}
