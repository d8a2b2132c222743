// Package readiness tells whether a process can do its work: whether its store
// answers and lets it do what it has to do, and what an orchestrator hears of it.
// It mends nothing. The package at the root and the programs use it.
package readiness

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/permission"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// readyAgain is how often a store that was found in order is looked at again.
const readyAgain = time.Minute

// Store looks whether a store can be used: whether it answers, and lets this
// program do all that it has to do. It logs what it finds, once.
type Store struct {
	transport *redisstream.Transport
	client    redis.UniversalClient
	log       *slog.Logger

	mu     sync.Mutex
	looked time.Time // when all was in order the last time
	said   string    // what was logged last
}

// NewStore returns a look at a transport's store, and at what jobs need on the
// same client. It does not connect.
func NewStore(t *redisstream.Transport, client redis.UniversalClient, log *slog.Logger) *Store {
	return &Store{transport: t, client: client, log: log}
}

// ErrDenied says that Redis keeps from this program what it needs. What that is
// has been logged, and is not everybody's business.
var ErrDenied = errors.New("redis denies commands or keys that are needed: see the log")

// Ping returns nil when the store answers and can be used.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.transport.Ping(ctx); err != nil {
		s.say(ctx, []string{err.Error()})
		if errors.Is(err, push.ErrDenied) {
			return ErrDenied
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < readyAgain {
		return nil
	}
	denials, err := s.transport.Preflight(ctx)
	if err != nil {
		return err
	}
	all, err := jobDenials(ctx, s.client)
	if err != nil {
		return err
	}
	needed := len(all) > 0
	for _, d := range denials {
		if needed = needed || !d.Topics; !slices.Contains(all, d.String()) {
			all = append(all, d.String())
		}
	}
	s.sayLocked(ctx, all)
	if needed {
		return ErrDenied
	}
	s.looked = time.Now()
	return nil
}

func (s *Store) say(ctx context.Context, all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sayLocked(ctx, all)
}

func (s *Store) sayLocked(ctx context.Context, all []string) {
	text := strings.Join(all, "; ")
	if text == s.said {
		return
	}
	s.said = text
	for _, one := range all {
		s.log.ErrorContext(ctx, "redis is not usable", "cause", one)
	}
	if len(all) == 0 {
		s.log.InfoContext(ctx, "redis is usable again")
	}
}

// jobCommands are those of the scripts of jobs and of Asynq, and what both run
// besides, in a form that does no harm to keys of its own.
const jobCommands = `SET K 1 EX 60|GET K|INCR K|EXISTS K|EXPIRE K 60|EXPIREAT K 4102444800|PEXPIRE K 60000|PTTL K|TTL K|PERSIST K|SETEX K 60 1|DEL K|
HSET K f 1|HSETNX K g 1|HGET K f|HMGET K f g|HGETALL K|HVALS K|HLEN K|HEXISTS K f|HINCRBY K f 1|HDEL K f|RENAME K L|DEL L|UNLINK L|DEL K|
LPUSH L 1|RPUSH L 2|LRANGE L 0 -1|LINDEX L 0|LLEN L|RPOPLPUSH L L|LREM L 0 1|DEL L|
SADD K m|SISMEMBER K m|SMEMBERS K|SREM K m|DEL K|
ZADD K 1 m|ZCARD K|ZSCORE K m|ZRANK K m|ZRANGE K 0 -1|ZREVRANGE K 0 -1|ZCOUNT K 0 1|ZRANGEBYSCORE K 0 1|ZREMRANGEBYSCORE K 8 9|ZREMRANGEBYRANK K 8 9|ZREM K m|
ZRANGEBYLEX K - +|ZREVRANGEBYLEX K + -|ZLEXCOUNT K - +|ZPOPMIN K|DEL K|
EVAL return{} 1 K|EVALSHA 0000000000000000000000000000000000000000 1 K|TIME|-UNLINK K|-UNLINK L`

// jobDenials returns what Redis denies to jobs.
func jobDenials(ctx context.Context, client redis.UniversalClient) ([]string, error) {
	tag := "asynq:{preflight-" + rand.Text() + "}:"
	denied, err := permission.Try(ctx, client, permission.Commands(jobCommands), map[string]string{"K": tag + "k", "L": tag + "l"})
	if err != nil {
		return nil, fmt.Errorf("preflight of jobs: %w", err)
	}
	rules := permission.Rules{User: permission.Who(ctx, client), Keys: "~asynq:*"}
	var all []string
	for _, d := range denied {
		if strings.HasPrefix(d.Answer, "NOSCRIPT") {
			continue
		}
		if text := rules.Text(d); text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all, nil
}
