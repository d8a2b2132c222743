package redisstore

import "github.com/prometheus/client_golang/prometheus"

// Reads returns what counts the reads that asked Redis.
func (s *Store) Reads() prometheus.Counter { return s.metrics.reads }

// Missed returns what counts the changes that only the sweep has found.
func (s *Store) Missed() prometheus.Counter { return s.metrics.missed }

// MaxDepth bounds the sources above a fork.
const MaxDepth = maxDepth
