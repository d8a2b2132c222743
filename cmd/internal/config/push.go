package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/redisstream"
)

// Push are the settings of the delivery, which web and worker must share.
type Push struct {
	Partitions   int           `name:"partitions" env:"LASTMILE_PARTITIONS" default:"16" help:"Cluster slots that sessions are spread over. Fixed at the first use of a Redis."`
	MailboxLen   int           `name:"mailbox-len" env:"LASTMILE_MAILBOX_LEN" default:"1000" help:"Unapplied pushes that one session may have; publishers are refused beyond."`
	MaxAge       time.Duration `name:"push-max-age" env:"LASTMILE_PUSH_MAX_AGE" default:"168h" help:"Time that a push waits for a page before it becomes a dead letter."`
	WaitReplicas int           `name:"wait-replicas" env:"LASTMILE_WAIT_REPLICAS" default:"0" help:"Redis replicas that must have a push before it counts as accepted."`
}

// Check checks the bounds.
func (p *Push) Check() error {
	if err := Range("partitions", p.Partitions, 1, 1024); err != nil {
		return err
	}
	if err := Range("mailbox-len", p.MailboxLen, 1, 1_000_000); err != nil {
		return err
	}
	if err := Range("push-max-age", p.MaxAge, time.Minute, 90*24*time.Hour); err != nil {
		return err
	}
	return Range("wait-replicas", p.WaitReplicas, 0, 10)
}

// Transport returns the delivery on a Redis client, which it does not connect.
func (p *Push) Transport(client redis.UniversalClient, prefix string, log *slog.Logger, reg prometheus.Registerer) (*redisstream.Transport, error) {
	return redisstream.New(client, redisstream.Config{
		Prefix: prefix, Partitions: p.Partitions, MailboxLen: p.MailboxLen, MaxAge: p.MaxAge, WaitReplicas: p.WaitReplicas,
		Logger: log, Registerer: reg,
	})
}

// Pinger is what Await waits for; *redisstream.Transport is one.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Await returns once the store answers, or its last error after a time: a
// program that starts with its Redis need not be started twice.
func Await(ctx context.Context, store Pinger, patience time.Duration, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for tries := 1; ; tries++ {
		tryCtx, done := context.WithTimeout(ctx, 3*time.Second)
		err := store.Ping(tryCtx)
		done()
		if err == nil || errors.Is(err, ErrDenied) { // it answers; the store has logged what is missing
			return nil
		}
		if tries == 1 {
			log.WarnContext(ctx, "waiting for redis", "error", err, "patience", patience)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis does not answer: %w", err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// readyAgain is how often a store that was found in order is looked at again.
const readyAgain = time.Minute

// Store looks whether a store can be used: whether it answers, and lets this
// program do all that it has to do. It logs what it finds, once.
type Store struct {
	transport *redisstream.Transport
	log       *slog.Logger

	mu     sync.Mutex
	looked time.Time // when all was in order the last time
	said   string    // what was logged last
}

// NewStore returns a look at a transport's store. It does not connect.
func NewStore(t *redisstream.Transport, log *slog.Logger) *Store { return &Store{transport: t, log: log} }

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
	var all []string
	needed := false
	for _, d := range denials {
		all = append(all, d.String())
		needed = needed || !d.Topics
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
