package redisstream

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

// Config tunes a Transport. The zero value is ready for production. All
// processes that share a store must agree on Prefix and Partitions, and should
// agree on the rest.
type Config struct {
	// Prefix begins every key. It must not hold braces. Defaults to push.DefaultPrefix.
	Prefix string
	// Partitions is the number of hash tags, and so of slots of a cluster,
	// that sessions are spread over. It is fixed at the first use of a store:
	// a process with another number is refused. Defaults to 16; at most 1,024.
	Partitions int
	// MailboxLen bounds a session's unapplied pushes; the publisher gets
	// push.ErrMailboxFull beyond. A quarter more is kept for ends
	// (push.Message.Final), so that of a job comes although others have filled
	// the mailbox. Defaults to 1,000; at most 10,000.
	MailboxLen int
	// MaxAge is how long an unapplied push waits before it goes to the dead
	// letters. Defaults to 7 days.
	MaxAge time.Duration
	// DedupeTTL is how long a push ID is remembered. It should exceed the time
	// over which a publisher may repeat a push. Defaults to 24 hours.
	DedupeTTL time.Duration
	// ResumeWindow is how long acknowledged pushes stay, so that other
	// connections of the session can still catch up. Defaults to 2 minutes.
	ResumeWindow time.Duration
	// InlineBytes is the largest stored push that travels with its hint;
	// nodes read larger ones from the mailbox. Defaults to 4,096 bytes.
	InlineBytes int
	// NodeStreamLen bounds the hints that wait for one node, for each
	// partition. Defaults to 20,000.
	NodeStreamLen int
	// Sharded says that the store's slots lie on several servers though the
	// client is one for a single server: behind a proxy, say. Then a node
	// reads a stream in each partition and not just one. Defaults to whether
	// the client is anything but a *redis.Client.
	Sharded bool
	// NodeTTL is how long a node that has stopped answering is still sent
	// hints. Defaults to 60 seconds; at least 3.
	NodeTTL time.Duration
	// DeadLetterLen bounds the dead letters, for each partition; the oldest go
	// first. Defaults to 100,000.
	DeadLetterLen int
	// WaitReplicas is the number of replicas that must hold a push before
	// Append succeeds. Zero waits for none. Defaults to zero.
	WaitReplicas int
	// WaitTimeout bounds the wait for replicas. Defaults to 1 second.
	WaitTimeout time.Duration
	// BlockingClient is used by Listen for reads that block, and nothing else
	// must use it. It needs one connection on a single server and Partitions
	// connections on a cluster. Defaults to clients made from the options of
	// the client given to New.
	BlockingClient redis.UniversalClient
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics. Defaults to none.
	Registerer prometheus.Registerer
}

// withDefaults returns c complete, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"Partitions", int64(c.Partitions)},
		{"MailboxLen", int64(c.MailboxLen)},
		{"MaxAge", int64(c.MaxAge)},
		{"DedupeTTL", int64(c.DedupeTTL)},
		{"ResumeWindow", int64(c.ResumeWindow)},
		{"InlineBytes", int64(c.InlineBytes)},
		{"NodeStreamLen", int64(c.NodeStreamLen)},
		{"NodeTTL", int64(c.NodeTTL)},
		{"DeadLetterLen", int64(c.DeadLetterLen)},
		{"WaitReplicas", int64(c.WaitReplicas)},
		{"WaitTimeout", int64(c.WaitTimeout)},
	} {
		if f.n < 0 {
			return c, fmt.Errorf("redisstream: Config: %s must not be negative", f.name)
		}
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		return c, fmt.Errorf("redisstream: Config: Prefix %q must not hold braces", c.Prefix)
	}
	c.Prefix = cmp.Or(c.Prefix, push.DefaultPrefix)
	c.Partitions = cmp.Or(c.Partitions, 16)
	c.MailboxLen = cmp.Or(c.MailboxLen, 1000)
	c.MaxAge = cmp.Or(c.MaxAge, 7*24*time.Hour)
	c.DedupeTTL = cmp.Or(c.DedupeTTL, 24*time.Hour)
	c.ResumeWindow = cmp.Or(c.ResumeWindow, 2*time.Minute)
	c.InlineBytes = cmp.Or(c.InlineBytes, 4096)
	c.NodeStreamLen = cmp.Or(c.NodeStreamLen, 20_000)
	c.NodeTTL = cmp.Or(c.NodeTTL, time.Minute)
	c.DeadLetterLen = cmp.Or(c.DeadLetterLen, 100_000)
	c.WaitTimeout = cmp.Or(c.WaitTimeout, time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	switch {
	case c.Partitions > 1024:
		return c, fmt.Errorf("redisstream: Config: Partitions is %d, at most 1024 are allowed", c.Partitions)
	case c.MailboxLen > 10_000: // scripts go through what a mailbox has of keys and parked pushes
		return c, fmt.Errorf("redisstream: Config: MailboxLen is %d, at most 10000 are allowed", c.MailboxLen)
	case c.NodeTTL < 3*time.Second:
		return c, fmt.Errorf("redisstream: Config: NodeTTL is %s, at least 3s are needed", c.NodeTTL)
	case c.DedupeTTL < time.Second:
		return c, fmt.Errorf("redisstream: Config: DedupeTTL is %s, at least 1s is needed", c.DedupeTTL)
	}
	return c, nil
}

// keepFor is the lifetime of a session's keys, in seconds: a day beyond the
// age at which housekeeping moves what is left to the dead letters.
func (c Config) keepFor() int64 { return seconds(c.MaxAge + 24*time.Hour) }

// seconds rounds up, since Redis takes a zero lifetime for an error.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// milliseconds rounds up likewise, to at least one.
func milliseconds(d time.Duration) int64 {
	return max(1, int64((d+time.Millisecond-1)/time.Millisecond))
}
