package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"

	"github.com/alicebob/miniredis/v2"
)

// store is the Redis of the demonstration.
type store struct {
	url   string
	child *child // nil when it is inside this process
}

// openStore opens a redis-server where there is one, and else a store inside this
// process. What it holds is gone when closeStore has been called.
func openStore(ctx context.Context, embedded bool, log *slog.Logger, out io.Writer) (s store, closeStore func(), err error) {
	password := rand.Text()
	path, err := exec.LookPath("redis-server")
	if err != nil || embedded {
		server := miniredis.NewMiniRedis()
		server.ClockTTL(true) // else nothing would ever expire
		server.RequireAuth(password)
		if err := server.StartAddr("127.0.0.1:0"); err != nil {
			return store{}, nil, fmt.Errorf("start the store: %w", err)
		}
		return store{url: redisURL(password, server.Addr())}, server.Close, nil
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return store{}, nil, err
	}
	dir, err := os.MkdirTemp("", "lastmile-demo-")
	if err != nil {
		return store{}, nil, fmt.Errorf("make a folder for the store: %w", err)
	}
	_, port, _ := net.SplitHostPort(addr)
	// Its settings go by its standard input: arguments are seen by everybody.
	settings := fmt.Sprintf("bind 127.0.0.1\nport %s\nrequirepass %s\ndir %s\nsave \"\"\nappendonly yes\nappendfsync always\nmaxmemory-policy noeviction\nstream-node-max-bytes 512\n", port, password, dir)
	c := &child{name: "redis", role: "keeps it all, on disk", path: path, args: []string{"-"}, stdin: settings, log: log, out: out}
	return store{url: redisURL(password, addr), child: c}, func() { _ = os.RemoveAll(dir) }, nil // it is a temporary one
}

func redisURL(password, addr string) string { return "redis://:" + password + "@" + addr + "/0" }
