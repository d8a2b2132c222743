package redisstore

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/push/stream"
)

// MaxDepth bounds the sources above a fork.
const MaxDepth = maxDepth

// Reads returns what counts the reads that asked Redis.
func (s *Store) Reads() prometheus.Counter { return s.metrics.reads }

// Missed returns what counts the changes that only the sweep has found.
func (s *Store) Missed() prometheus.Counter { return s.metrics.missed }

// Lose has a stream lack its last entry, as if it had never been stored.
func (s *Store) Lose(ctx context.Context, key stream.Key, entry string, tail int64) error {
	names := s.names(key)
	return errors.Join(s.client.XDel(ctx, names[1], entry).Err(), s.client.HSet(ctx, names[0], "tail", tail).Err())
}
