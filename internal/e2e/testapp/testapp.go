// Package testapp is a web application for fault tests, on the same libraries
// as cmd/web. Its one page appends every push that it applies to its state, so
// that each frame shows the complete history of a connection. The test binary
// runs itself again as a web node or as a publisher of this application.
package testapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
	"lastmile/push/redisstream"
)

// Variable is the environment variable that makes a test binary run as this
// application: it holds a Spec as JSON.
const Variable = "LASTMILE_TESTAPP"

// The modes.
const (
	// Web serves the page.
	Web = "web"
	// Publish pushes into sessions and journals what was accepted.
	Publish = "publish"
)

// Broken names a guarantee to break, to prove that the checker sees it.
type Broken string

// What can be broken.
const (
	// Cursor: the state is committed without the place in the mailbox.
	Cursor Broken = "cursor"
	// Dedupe: a repeated publish has another push ID.
	Dedupe Broken = "dedupe"
	// Ack: what arrives is acknowledged before it is committed, and the
	// mailbox forgets it.
	Ack Broken = "ack"
)

// Spec tells a process what to be.
type Spec struct {
	Mode string
	// Redis is the address of the server.
	Redis string
	// Addr is where Web listens.
	Addr string
	// Journal is the directory of the publisher's journals.
	Journal string
	// Lanes is the number of publishers in the process, First the number of
	// its first.
	Lanes, First int
	// Total is how many pushes each lane sends.
	Total int
	// Every is the time between two pushes of a lane.
	Every time.Duration
	// Sessions is the number of sessions to push into.
	Sessions int
	// Linger keeps a publisher that has sent everything until it is stopped: it
	// may have to send some of it again.
	Linger bool
	// WaitReplicas and NodeTTL are redisstream.Config's.
	WaitReplicas int
	NodeTTL      time.Duration
	// WriteTimeout is live.Config's.
	WriteTimeout time.Duration
	// MailboxLen is redisstream.Config's.
	MailboxLen int
	// Deadly has a push whose token begins with "exit" end the process.
	Deadly bool
	// Break names what to break.
	Break Broken
}

// Env returns the environment entry that carries s.
func (s Spec) Env() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a struct of plain fields always marshals
	}
	return Variable + "=" + string(b)
}

// SessionID returns the ID of the n-th session. Real ones are random; a test
// has to know them.
func SessionID(n int) string { return fmt.Sprintf("session-of-the-test-%05d", n) }

// Main runs the process that the Spec in text describes and returns its exit
// code.
func Main(text string) int {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		slog.Error("read spec", "error", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := map[string]func(context.Context, Spec) error{Web: web, Publish: publish}[s.Mode]
	if run == nil {
		slog.Error("unknown mode", "mode", s.Mode)
		return 2
	}
	if err := run(ctx, s); err != nil {
		slog.Error("failed", "mode", s.Mode, "error", err)
		return 1
	}
	return 0
}

// connect opens the transport and waits until Redis answers: a node may be
// restarted while Redis is down.
func connect(ctx context.Context, s Spec) (*redisstream.Transport, error) {
	client := redis.NewClient(&redis.Options{Addr: s.Redis, Protocol: 2})
	context.AfterFunc(ctx, func() {
		// What still drains has its own bounds below this.
		time.AfterFunc(15*time.Second, func() { _ = client.Close() })
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for client.Ping(ctx).Err() != nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	t, err := redisstream.New(client, redisstream.Config{WaitReplicas: s.WaitReplicas, NodeTTL: s.NodeTTL, MailboxLen: s.MailboxLen})
	if err != nil {
		return nil, fmt.Errorf("testapp: %w", err)
	}
	return t, nil
}

// breakable wraps the transport's ports in what s breaks.
func (s Spec) appender(t *redisstream.Transport) push.Appender {
	if s.Break == Dedupe {
		return &forgetful{Appender: t}
	}
	return t
}

func (s Spec) states(t *redisstream.Transport) push.States {
	if s.Break == Cursor {
		return cursorless{t.States()}
	}
	return t.States()
}

func (s Spec) transport(t *redisstream.Transport) push.Transport {
	if s.Break == Ack {
		return hasty{t}
	}
	return t
}

// forgetful appends every time under another push ID. One answer in a hundred gets
// lost: whether a fault strikes between an append and its answer is chance.
type forgetful struct {
	push.Appender
	calls atomic.Int64
}

func (f *forgetful) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	m.ID = push.NewID()
	r, err := f.Appender.Append(ctx, m)
	if f.calls.Add(1)%100 == 0 && err == nil {
		return push.Receipt{}, errors.New("testapp: the answer got lost")
	}
	return r, err
}

// cursorless commits states that do not know what went into them.
type cursorless struct{ push.States }

func (c cursorless) Commit(ctx context.Context, m push.Commit) (push.CommitResult, error) {
	m.Conn.Cursor = 0
	return c.States.Commit(ctx, m)
}

// hasty acknowledges all that a connection attaches to.
type hasty struct{ push.Transport }

func (h hasty) Attach(ctx context.Context, node, session string, after push.Seq) (push.Attachment, error) {
	a, err := h.Transport.Attach(ctx, node, session, after)
	if err == nil && a.Last > after {
		err = h.Ack(ctx, session, push.Ack{Node: node, After: after, UpTo: a.Last})
	}
	return a, err
}
