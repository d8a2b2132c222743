package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/push"
)

// These tests decide on ends without a Redis: its scripts are answered by
// functions, and what happens is noted in order.

var errBroken = errors.New("broken")

// world is a client whose scripts and pushes are played.
type world struct {
	client  *Client
	pool    *Pool
	log     []string                       // what happened
	answers map[string]func() (any, error) // by script
	publish error
	pushes  []push.Message
	args    map[string][]any // of each script's last call
	record  map[string]string
}

func (w *world) Publish(_ context.Context, m push.Message) (push.Receipt, error) {
	w.log, w.pushes = append(w.log, "push "+m.Action), append(w.pushes, m)
	return push.Receipt{}, w.publish
}

func (w *world) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *world) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w *world) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		err := w.process(cmd)
		cmd.SetErr(err)
		return err
	}
}

func (w *world) process(cmd redis.Cmder) error {
	switch c := cmd.(type) {
	case *redis.MapStringStringCmd:
		c.SetVal(w.record)
		return nil
	case *redis.Cmd:
		sha, _ := c.Args()[1].(string)
		for name, script := range w.client.scripts {
			if script.Hash() != sha && (name != "complete" || w.client.pushing.Load() == nil || w.client.pushing.Load().script.Hash() != sha) {
				continue
			}
			w.log, w.args[name] = append(w.log, name), c.Args()
			answer, ok := w.answers[name]
			if !ok {
				return fmt.Errorf("nobody expects %s", name)
			}
			v, err := answer()
			c.SetVal(v)
			return err
		}
	}
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{answers: map[string]func() (any, error){}, args: map[string][]any{}}
	rdb := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", MaxRetries: -1, Protocol: 2,
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return nil, errBroken },
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	rdb.AddHook(w)
	var err error
	w.pool, err = NewPool(rdb, w, PoolConfig{ClientConfig: ClientConfig{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	w.client = w.pool.client
	return w
}

func (w *world) answer(script string, v ...any) {
	w.answers[script] = func() (any, error) { return v, nil }
}

func (w *world) number(script string, v int64) {
	w.answers[script] = func() (any, error) { return v, nil }
}

func (w *world) fail(script string) {
	w.answers[script] = func() (any, error) { return nil, errBroken }
}

const destination = `{"s":"session","a":{"completed":"Done","failed":"Failed"}}`
