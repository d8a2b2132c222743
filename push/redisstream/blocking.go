package redisstream

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialFunc makes a client for blocking reads of key. owned tells whether the
// caller closes it.
type dialFunc func(ctx context.Context, key string) (client redis.UniversalClient, owned bool, err error)

// blockingClients returns how to make clients for blocking reads: such a read
// holds its connection, so it must not share a pool with anything else.
func blockingClients(client redis.UniversalClient, cfg Config) (dialFunc, error) {
	if cfg.BlockingClient != nil {
		return func(context.Context, string) (redis.UniversalClient, bool, error) {
			return cfg.BlockingClient, false, nil
		}, nil
	}
	switch c := client.(type) {
	case *redis.Client:
		return func(context.Context, string) (redis.UniversalClient, bool, error) {
			return readerClient(c), true, nil
		}, nil
	case *redis.ClusterClient:
		return func(ctx context.Context, key string) (redis.UniversalClient, bool, error) {
			c.ReloadState(ctx) // whoever asks anew may have been redirected, or lost its master
			master, err := c.MasterForKey(ctx, key)
			if err != nil {
				return nil, false, err
			}
			return readerClient(master), true, nil
		}, nil
	}
	return nil, errors.New("redisstream: Config.BlockingClient is needed with a client of this type")
}

// impatient returns a client that shares c's connections and gives up sooner,
// where the type of c allows that.
func impatient(c redis.UniversalClient, d time.Duration) redis.UniversalClient {
	if single, ok := c.(*redis.Client); ok {
		return single.WithTimeout(d)
	}
	return c
}

// readerClient returns a client like c with one connection, whose reads end
// when they should.
func readerClient(c *redis.Client) *redis.Client {
	o := *c.Options()
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 1, 0, 0, 0
	o.MaxRetries = -1 // the reader retries by itself
	// go-redis waits ten seconds longer than a read blocks, but for this.
	o.ContextTimeoutEnabled = true
	o.ReadTimeout = readBlock + readGrace
	o.PoolTimeout = readGrace
	if o.DialTimeout <= 0 || o.DialTimeout > 2*time.Second {
		o.DialTimeout = 2 * time.Second
	}
	return redis.NewClient(&o)
}
