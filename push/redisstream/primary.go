package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

var _ push.Succession = (*Transport)(nil)

// Primary implements push.Succession by INFO, on every master of a cluster. A
// server that keeps INFO to itself has no name.
func (t *Transport) Primary(ctx context.Context) (push.Primary, error) {
	var mu sync.Mutex
	var names []string
	p := push.Primary{Confirmed: t.cfg.WaitReplicas}
	look := func(ctx context.Context, c *redis.Client) error {
		name, replicas, err := identify(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		names = append(names, name)
		p.Replicas = max(p.Replicas, replicas)
		return err
	}
	var err error
	switch client := t.client.(type) {
	case *redis.Client:
		err = look(ctx, client)
	case *redis.ClusterClient:
		err = client.ForEachMaster(ctx, look)
	default: // one that spreads keys by itself has no replicas that take over
		return p, nil
	}
	if err != nil {
		return push.Primary{}, t.fail("ask for the primary", "", err)
	}
	slices.Sort(names)
	p.ID = strings.Join(names, " ")
	return p, nil
}

// identify returns a server's name, which a restart and a promotion change, and
// how many replicas follow it.
func identify(ctx context.Context, c *redis.Client) (name string, replicas int, err error) {
	var server, replication *redis.StringCmd
	_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		server, replication = p.Info(ctx, "server"), p.Info(ctx, "replication") // both at once needs Redis 7
		return nil
	})
	if refusal, ok := errors.AsType[redis.Error](err); ok {
		for _, prefix := range []string{"ERR", "NOPERM", "section"} { // the last is miniredis's
			if strings.HasPrefix(refusal.Error(), prefix) { // redis.HasErrorPrefix leaves ERR away
				return "", 0, nil
			}
		}
	}
	if err != nil {
		return "", 0, fmt.Errorf("info: %w", err)
	}
	if infoField(replication.Val(), "role") == "slave" {
		return "", 0, errors.New("a replica answers")
	}
	replicas, _ = strconv.Atoi(infoField(replication.Val(), "connected_slaves"))
	return strings.TrimSpace(infoField(server.Val(), "run_id") + infoField(replication.Val(), "master_replid")), replicas, nil
}
