package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

// The commit script's codes.
const (
	commitStored int64 = iota
	commitNoState
	commitFenced
	commitConflict
)

var _ push.States = (*States)(nil)

// States keeps connections' and views' states. Get it from Transport.States.
type States struct{ t *Transport }

// States returns the states that are stored beside the mailboxes.
func (t *Transport) States() *States { return &States{t} }

// CreateConn implements push.States.
func (s *States) CreateConn(ctx context.Context, r push.ConnRecord, ttl time.Duration) error {
	if err := errors.Join(check("session", r.Session), check("connection", r.Conn), checkSeq(r.Cursor)); err != nil {
		return err
	}
	key := s.t.keys.box(r.Session).conn(r.Conn)
	_, err := s.t.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, key)
		p.HSet(ctx, key, "v", r.View, "s", r.State, "c", r.Cursor.String(), "m", r.Client, "f", 0, "e", r.Epoch)
		p.PExpire(ctx, key, time.Duration(milliseconds(ttl))*time.Millisecond)
		return nil
	})
	if err != nil {
		return s.t.metrics.fail("create connection", r.Session, err)
	}
	return nil
}

// TakeConn implements push.States.
func (s *States) TakeConn(ctx context.Context, session, conn string, ttl time.Duration) (push.ConnRecord, error) {
	if err := errors.Join(check("session", session), check("connection", conn)); err != nil {
		return push.ConnRecord{}, err
	}
	key := s.t.keys.box(session).conn(conn)
	reply, err := s.t.run(ctx, call{script: s.t.scripts.take, keys: []string{key}, args: []any{milliseconds(ttl), push.Raise(0)}})
	if err != nil {
		return push.ConnRecord{}, s.t.metrics.fail("take connection", session, err)
	}
	if len(reply) == 0 {
		return push.ConnRecord{}, fmt.Errorf("redisstream: connection of session %s: %w", push.Redact(session), push.ErrNoState)
	}
	r := push.ConnRecord{Session: session, Conn: conn, State: bytesOf(reply[1]), Cursor: seqOf(reply[2])}
	r.View, _ = reply[0].(string)
	r.Epoch, _ = reply[5].(string)
	if r.Client, err = numberOf(reply[3]); err == nil {
		r.Fence, err = numberOf(reply[4])
	}
	if err != nil {
		return push.ConnRecord{}, fmt.Errorf("redisstream: record of a connection of session %s: %w", push.Redact(session), err)
	}
	return r, nil
}

// LoadView implements push.States.
func (s *States) LoadView(ctx context.Context, session, view string) (push.ViewRecord, error) {
	if err := errors.Join(check("session", session), check("view", view)); err != nil {
		return push.ViewRecord{}, err
	}
	reply, err := s.t.client.HMGet(ctx, s.t.keys.box(session).view(view), "s", "c", "n").Result()
	if err != nil {
		return push.ViewRecord{}, s.t.metrics.fail("load view", session, err)
	}
	return viewOf(reply)
}

// viewOf reads state, cursor and version.
func viewOf(reply []any) (push.ViewRecord, error) {
	version, err := numberOf(reply[2])
	if err != nil {
		return push.ViewRecord{}, fmt.Errorf("redisstream: version of a view: %w", err)
	}
	if version == 0 {
		return push.ViewRecord{}, nil
	}
	return push.ViewRecord{State: bytesOf(reply[0]), Cursor: seqOf(reply[1]), Version: version}, nil
}

// Commit implements push.States.
func (s *States) Commit(ctx context.Context, c push.Commit) (push.CommitResult, error) {
	if err := checkCommit(c); err != nil {
		return push.CommitResult{}, err
	}
	b := s.t.keys.box(c.Conn.Session)
	// Without a connection, or a view, its key is not touched; it is there so
	// that the script has a key in the right slot.
	keys := []string{b.conn(c.Conn.Conn), b.view(c.Conn.View), b.meta, b.unacked}
	// The nonce lets a repeat (go-redis repeats what got no answer) find that
	// it has been done.
	args := []any{
		flag(c.Conn.Conn != ""), viewFlag(c.View), rand.Text(),
		c.Conn.Fence, c.Conn.View, c.Conn.State, c.Conn.Cursor.String(), c.Conn.Client, c.Conn.Epoch, milliseconds(c.ConnTTL),
	}
	var next uint64
	if c.View != nil {
		next = push.Raise(c.View.Version)
		args = append(args, c.View.Version, c.View.State, c.View.Cursor.String(), milliseconds(c.ViewTTL), next, c.Conn.Session)
	}
	reply, err := s.t.run(ctx, call{script: s.t.scripts.commit, keys: keys, args: args})
	if err != nil {
		return push.CommitResult{}, s.t.metrics.fail("commit", c.Conn.Session, err)
	}
	code, _ := reply[0].(int64)
	if code == commitStored {
		var result push.CommitResult
		if c.View != nil {
			result.View = *c.View
			if c.View.State != nil {
				result.View.Version = next
			}
		}
		return result, nil
	}
	view, err := viewOf(reply[1:])
	if err != nil {
		return push.CommitResult{}, err
	}
	return push.CommitResult{View: view}, commitError(code, c.Conn.Session)
}

func checkCommit(c push.Commit) error {
	err := errors.Join(check("session", c.Conn.Session), checkSeq(c.Conn.Cursor))
	if c.View != nil {
		err = errors.Join(err, check("view", c.Conn.View), checkSeq(c.View.Cursor))
	}
	if c.View == nil && c.Conn.Conn == "" {
		err = errors.Join(err, fmt.Errorf("redisstream: %w: a commit of nothing", push.ErrInvalid))
	}
	if len(c.Conn.Conn) > push.MaxIDLen || len(c.Conn.View) > push.MaxIDLen {
		err = errors.Join(err, fmt.Errorf("redisstream: %w: name of connection or view too long", push.ErrInvalid))
	}
	return err
}

func commitError(code int64, session string) error {
	switch code {
	case commitNoState:
		return fmt.Errorf("redisstream: commit for session %s: %w", push.Redact(session), push.ErrNoState)
	case commitFenced:
		return fmt.Errorf("redisstream: commit for session %s: %w", push.Redact(session), push.ErrFenced)
	case commitConflict:
		return fmt.Errorf("redisstream: commit for session %s: %w", push.Redact(session), push.ErrStateConflict)
	}
	return fmt.Errorf("redisstream: commit: unknown reply %d", code)
}

// DropConn implements push.States.
func (s *States) DropConn(ctx context.Context, session, conn string) error {
	if err := errors.Join(check("session", session), check("connection", conn)); err != nil {
		return err
	}
	if err := s.t.client.Unlink(ctx, s.t.keys.box(session).conn(conn)).Err(); err != nil {
		return s.t.metrics.fail("drop connection", session, err)
	}
	return nil
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

// viewFlag tells the commit script what to do with the view's record.
func viewFlag(v *push.ViewRecord) string {
	switch {
	case v == nil:
		return ""
	case v.State == nil:
		return "2"
	}
	return "1"
}

// bytesOf reads a state; none reads as nil.
func bytesOf(reply any) []byte {
	s, _ := reply.(string)
	if s == "" {
		return nil
	}
	return []byte(s)
}

// numberOf reads a counter; none reads as zero.
func numberOf(reply any) (uint64, error) {
	s, ok := reply.(string)
	if !ok || s == "" {
		return 0, nil
	}
	return strconv.ParseUint(s, 10, 64)
}
