package redisstream

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Stats is a picture of the store for operators.
type Stats struct {
	// Sessions is how many sessions have unacknowledged pushes, parked ones
	// included.
	Sessions int
	// Oldest is when the oldest of these was appended, at the earliest. Zero when
	// there are none.
	Oldest time.Time
	// Pending counts the pushes in those sessions' mailboxes, with the
	// acknowledged ones of the resume window, and Parked those that all views
	// so far have skipped. Both count at most 100 sessions of each partition;
	// Truncated is true when there are more.
	Pending, Parked int
	Truncated       bool
	// DeadLetters counts the pushes given up, and DeadLetterBound is how many
	// are kept before the oldest go.
	DeadLetters, DeadLetterBound int
	// Nodes names the nodes that listen.
	Nodes []string
	// Epoch names the store's history.
	Epoch string
}

// statSessions bounds the sessions of a partition that Stats looks into.
const statSessions = 100

// Stats reads a picture of the store. It is no snapshot: the parts are read one
// after the other.
func (t *Transport) Stats(ctx context.Context) (Stats, error) {
	if err := t.layout.verify(ctx); err != nil {
		return Stats{}, err
	}
	s := Stats{DeadLetterBound: t.cfg.DeadLetterLen * t.cfg.Partitions}
	var err error
	if s.DeadLetters, err = t.DeadLetters().Count(ctx); err != nil {
		return Stats{}, err
	}
	if s.Epoch, err = t.layout.epoch(ctx); err != nil {
		return Stats{}, err
	}
	since := strconv.FormatInt(time.Now().Add(-t.cfg.NodeTTL).Unix(), 10)
	s.Nodes, err = t.client.ZRangeByScore(ctx, t.keys.nodes(), &redis.ZRangeBy{Min: since, Max: "+inf"}).Result()
	if err != nil {
		return Stats{}, t.metrics.fail("stats", "", err)
	}
	for p := range t.cfg.Partitions {
		if err := t.statPartition(ctx, p, &s); err != nil {
			return Stats{}, err
		}
	}
	return s, nil
}

// statPartition adds a partition's sessions to s.
func (t *Transport) statPartition(ctx context.Context, p int, s *Stats) error {
	var size *redis.IntCmd
	var first *redis.ZSliceCmd
	_, err := t.client.Pipelined(ctx, func(pl redis.Pipeliner) error {
		size = pl.ZCard(ctx, t.keys.unacked(p))
		first = pl.ZRangeWithScores(ctx, t.keys.unacked(p), 0, statSessions-1)
		return nil
	})
	if err != nil {
		return t.metrics.fail("stats", "", err)
	}
	s.Sessions += int(size.Val())
	s.Truncated = s.Truncated || size.Val() > statSessions
	members := first.Val()
	if len(members) == 0 {
		return nil
	}
	if at := time.UnixMicro(int64(members[0].Score)); s.Oldest.IsZero() || at.Before(s.Oldest) {
		s.Oldest = at
	}
	parked := make([]*redis.IntCmd, len(members))
	pending := make([]*redis.IntCmd, len(members))
	_, err = t.client.Pipelined(ctx, func(pl redis.Pipeliner) error {
		for i, m := range members {
			session, _ := m.Member.(string)
			b := t.keys.box(session)
			parked[i], pending[i] = pl.HLen(ctx, b.parked), pl.XLen(ctx, b.mailbox)
		}
		return nil
	})
	if err != nil {
		return t.metrics.fail("stats", "", err)
	}
	for i := range members {
		s.Parked += int(parked[i].Val())
		s.Pending += int(pending[i].Val())
	}
	return nil
}

// Warnings tells what about the store's set-up can lose pushes, in sentences
// for an operator's log. None means that nothing was found.
func (t *Transport) Warnings(ctx context.Context) []string {
	server, err := t.server(ctx, t.keys.config())
	if err != nil {
		return []string{"the store cannot be reached: " + err.Error()}
	}
	var out []string
	if info, err := server.Info(ctx, "server").Result(); err != nil {
		out = append(out, "the store does not tell its version: Redis 6.2 or later is needed")
	} else if v := infoField(info, "redis_version"); !atLeast(v, 6, 2) {
		out = append(out, fmt.Sprintf("the store is Redis %s: 6.2 or later is needed", v))
	}
	settings := map[string]string{}
	for _, name := range []string{"maxmemory-policy", "appendonly", "appendfsync", "stream-node-max-bytes"} {
		got, err := server.ConfigGet(ctx, name).Result()
		if err != nil {
			return append(out, "the store does not show its configuration: maxmemory-policy must be noeviction and appendonly yes")
		}
		settings[name] = got[name]
	}
	if p := settings["maxmemory-policy"]; p != "noeviction" {
		out = append(out, fmt.Sprintf("maxmemory-policy is %s: the store may throw accepted pushes away; set noeviction", p))
	}
	if settings["appendonly"] != "yes" {
		out = append(out, "appendonly is off: a restart of the store loses accepted pushes; set it to yes")
	} else if settings["appendfsync"] == "no" {
		out = append(out, "appendfsync is no: a crash of the machine loses many seconds of accepted pushes; set everysec or always")
	}
	if n, err := strconv.Atoi(settings["stream-node-max-bytes"]); err == nil && n > 1024 {
		out = append(out, fmt.Sprintf("stream-node-max-bytes is %d: a mailbox with one push takes 4 KB; 512 takes a fifth of that", n))
	}
	return out
}

// atLeast compares the first two numbers of a version.
func atLeast(version string, major, minor int) bool {
	a, rest, _ := strings.Cut(version, ".")
	b, _, _ := strings.Cut(rest, ".")
	x, err := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	if err != nil || err2 != nil {
		return false
	}
	return x > major || x == major && y >= minor
}
