package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/push"
)

// Config tunes a Store. The zero value is ready for production. All processes
// that share a Redis must agree on Prefix.
type Config struct {
	// Prefix begins every key and channel. It must not hold braces. Defaults to
	// push.DefaultPrefix, a colon and "stream".
	Prefix string
	// MaxBytes bounds a stream for which nothing else is said. Defaults to 16 MiB.
	MaxBytes int64
	// MaxProducers bounds the producers that a stream remembers; appends of
	// others are refused with stream.ErrFull. Defaults to 1,000.
	MaxProducers int
	// InlineBytes is the largest append that travels with its wake-up; readers
	// read larger ones from Redis. Defaults to 4,096 bytes.
	InlineBytes int
	// RecentBytes is how much of each stream that has readers is kept in this
	// process for them. Defaults to 64 KiB.
	RecentBytes int
	// Sweep is how often streams with readers are looked at, for the case that
	// a wake-up was lost. Defaults to 1 second.
	Sweep time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics. Defaults to none.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() (Config, error) {
	if min(c.MaxBytes, int64(c.MaxProducers), int64(c.InlineBytes), int64(c.RecentBytes), int64(c.Sweep)) < 0 {
		return c, errors.New("redisstore: Config: no setting may be negative")
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		return c, fmt.Errorf("redisstore: Config: Prefix %q must not hold braces", c.Prefix)
	}
	c.Prefix = cmp.Or(c.Prefix, push.DefaultPrefix+":stream")
	c.MaxBytes = cmp.Or(c.MaxBytes, 16<<20)
	c.MaxProducers = cmp.Or(c.MaxProducers, 1000)
	c.InlineBytes = cmp.Or(c.InlineBytes, 4096)
	c.RecentBytes = cmp.Or(c.RecentBytes, 64<<10)
	c.Sweep = cmp.Or(c.Sweep, time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c, nil
}
