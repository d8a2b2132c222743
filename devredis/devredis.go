// Package devredis is a Redis inside the process, to develop and test with:
// nothing has to be installed for it, and its data dies with the process. It is
// a package of its own so that a program that does not use it is built without.
package devredis

import (
	"crypto/rand"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Open starts a Redis on a port of its own, which needs a password that nobody
// is told, and returns a client for it. closeAll ends both. It is made for
// lastmile.Config.Development.
func Open() (client redis.UniversalClient, closeAll func(), err error) {
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true) // else nothing would ever expire
	password := rand.Text()
	server.RequireAuth(password)
	// A real port: the in-process connections of miniredis have no buffers, and
	// a pipeline of more than 4 KB would wait for ever.
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, nil, fmt.Errorf("devredis: start: %w", err)
	}
	client = redis.NewClient(&redis.Options{
		Addr: server.Addr(), Password: password,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return client, func() {
		_ = client.Close() // nothing is in flight by now
		server.Close()
	}, nil
}
