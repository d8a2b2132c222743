package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/flight"
	"lastmile/push"
)

var _ push.Transport = (*Transport)(nil)

// Transport keeps mailboxes in Redis, and beside them states, dead letters and
// topics: see States, DeadLetters and Topics. It is safe for concurrent use and
// needs no closing; the client stays the caller's.
type Transport struct {
	client redis.UniversalClient
	// impatient is the same for a listener's own upkeep.
	impatient redis.UniversalClient

	cfg     Config
	keys    keys
	scripts scripts
	log     *slog.Logger
	metrics *metrics
	// id names this Transport among all, for leases.
	id string
	// dial makes clients for blocking reads.
	dial dialFunc

	layout  *layout
	appends *flight.Group[call, []any]
	topics  *Topics
}

// New returns a Transport on client, which must be of one of go-redis's types
// for a single server, Sentinel or Cluster, or else Config.BlockingClient is
// needed. A cluster client that reads from replicas is refused: they may lack
// what a page was just told of, and it would be passed over. New checks cfg and
// connects to nothing; see Ping.
func New(client redis.UniversalClient, cfg Config) (*Transport, error) {
	if client == nil {
		return nil, errors.New("redisstream: no client")
	}
	if cluster, ok := client.(*redis.ClusterClient); ok && cluster.Options().ReadOnly {
		return nil, errors.New("redisstream: the client reads from replicas (ReadOnly, RouteByLatency or RouteRandomly), which may lack the latest pushes")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("redisstream: register metrics: %w", err)
	}
	dial, err := blockingClients(client, cfg)
	if err != nil {
		return nil, err
	}
	cfg.Sharded = sharded(client, cfg)
	keys := newKeys(cfg.Prefix, cfg.Partitions)
	if c, ok := client.(interface{ Options() *redis.Options }); ok { // a cluster has one database
		keys.db = c.Options().DB
	}
	t := &Transport{
		client: client, impatient: impatient(client, tendTimeout), cfg: cfg, keys: keys, scripts: newScripts(cfg, keys),
		log: cfg.Logger, metrics: m, id: rand.Text(), dial: dial,
	}
	t.layout = &layout{client: client, keys: keys, partitions: cfg.Partitions, sharded: cfg.Sharded, metrics: m}
	t.topics = &Topics{t: t}
	t.appends = flight.New(flight.Config[call, []any]{One: t.run, Many: t.runMany})
	return t, nil
}

// Ping returns nil when the store answers and was set up with the same number
// of partitions.
func (t *Transport) Ping(ctx context.Context) error {
	t.layout.doubt()
	return t.layout.verify(ctx)
}

// Secret returns 32 random bytes that all processes on the store share, for
// signing. The first caller makes them.
func (t *Transport) Secret(ctx context.Context) ([]byte, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	s, err := claim(ctx, t.client, t.keys.secret(), string(b))
	if err != nil {
		return nil, t.metrics.fail("secret", "", err)
	}
	if len(s) != len(b) {
		return nil, fmt.Errorf("redisstream: %s holds %d bytes, want %d", t.keys.secret(), len(s), len(b))
	}
	return []byte(s), nil
}

// check refuses names that cannot be part of a key.
func check(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("redisstream: %w: no %s", push.ErrInvalid, what)
	case len(name) > push.MaxIDLen:
		return fmt.Errorf("redisstream: %w: %s of %d bytes, at most %d are allowed", push.ErrInvalid, what, len(name), push.MaxIDLen)
	}
	return nil
}

// maxSeq is the largest Seq that Lua's numbers hold exactly; it stands for the
// year 2255.
const maxSeq push.Seq = 1 << 53

// checkSeq refuses what no append can have issued.
func checkSeq(seqs ...push.Seq) error {
	for _, s := range seqs {
		if s >= maxSeq {
			return fmt.Errorf("redisstream: %w: no push has the place %d", push.ErrInvalid, s)
		}
	}
	return nil
}
