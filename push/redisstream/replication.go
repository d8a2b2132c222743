package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

var _ push.Replication = (*Transport)(nil)

// Masters implements push.Replication by INFO, on every master of a cluster. A
// server that keeps INFO to itself has no ID.
func (t *Transport) Masters(ctx context.Context) ([]push.Master, error) {
	var mu sync.Mutex
	var masters []push.Master
	look := func(ctx context.Context, c *redis.Client) error {
		m, err := master(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, m)
		return err
	}
	// A client that spreads keys by itself has no replicas that take over.
	if err := t.eachMaster(ctx, look); err != nil {
		return nil, t.metrics.fail("ask for the primary", "", err)
	}
	return masters, nil
}

// eachMaster calls look for the server, or for all masters of a cluster, several
// at once. It calls it for none of a client that spreads keys by itself.
func (t *Transport) eachMaster(ctx context.Context, look func(context.Context, *redis.Client) error) error {
	switch client := t.client.(type) {
	case *redis.Client:
		return look(ctx, client)
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, look)
	default:
		return nil
	}
}

// silent reports whether a server keeps what was asked for to itself.
func silent(err error) bool {
	refusal, ok := errors.AsType[redis.Error](err)
	if !ok {
		return false
	}
	for _, prefix := range []string{"ERR", "NOPERM", "section"} { // the last is miniredis's
		if strings.HasPrefix(refusal.Error(), prefix) { // redis.HasErrorPrefix leaves ERR away
			return true
		}
	}
	return false
}

// Awaited implements push.Replication.
func (t *Transport) Awaited() int { return t.cfg.WaitReplicas }

// master asks one server.
func master(ctx context.Context, c *redis.Client) (push.Master, error) {
	var server, replication *redis.StringCmd
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		server, replication = p.Info(ctx, "server"), p.Info(ctx, "replication") // both at once needs Redis 7
		return nil
	})
	switch {
	case silent(err):
		return push.Master{}, nil
	case err != nil:
		return push.Master{}, fmt.Errorf("info: %w", err)
	}
	info := replication.Val()
	if infoField(info, "role") == "slave" {
		return push.Master{}, errors.New("a replica answers")
	}
	m := push.Master{
		// A restart changes the first, a promotion the second.
		ID:       strings.TrimSpace(infoField(server.Val(), "run_id") + infoField(info, "master_replid")),
		Replicas: map[string]int64{},
		// The backlog is made for the first replica, and outlives the last one
		// by repl-backlog-ttl, an hour if nobody says otherwise.
		Followed: infoField(info, "repl_backlog_active") == "1",
	}
	m.Offset, _ = strconv.ParseInt(infoField(info, "master_repl_offset"), 10, 64)
	n, _ := strconv.Atoi(infoField(info, "connected_slaves"))
	for i := range n {
		name, offset := replicaOf(infoField(info, "slave"+strconv.Itoa(i)), m.Offset)
		if name == "" {
			name = "replica " + strconv.Itoa(i)
		}
		if other, twice := m.Replicas[name]; twice { // it has come back, and its old connection is still there
			offset = min(offset, other)
		}
		m.Replicas[name] = offset
	}
	return m, nil
}

// replicaOf reads what INFO tells of a replica:
//
//	ip=127.0.0.1,port=6380,state=online,offset=4711,lag=1
//
// One that has not got all data yet, since it is in another state, has
// confirmed nothing. Of one whose offset is hidden it is not known what it
// lacks: it is taken to be as far as its master, and the publisher's window
// has to do.
func replicaOf(line string, masterOffset int64) (name string, offset int64) {
	fields := map[string]string{}
	for f := range strings.SplitSeq(line, ",") {
		key, value, _ := strings.Cut(f, "=")
		fields[key] = value
	}
	if fields["ip"] != "" || fields["port"] != "" {
		name = fields["ip"] + ":" + fields["port"]
	}
	if state := fields["state"]; state != "" && state != "online" {
		return name, -1
	}
	offset, err := strconv.ParseInt(fields["offset"], 10, 64)
	if err != nil {
		return name, masterOffset
	}
	return name, offset
}
