package config

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

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
	if err := Range("mailbox-len", p.MailboxLen, 1, 10_000); err != nil {
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
