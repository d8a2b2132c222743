package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push/stream"
)

var _ stream.Store = (*Store)(nil)

// Store keeps streams in Redis. It is safe for concurrent use and needs no
// closing; the client stays the caller's.
type Store struct {
	client  redis.UniversalClient
	cfg     Config
	db      int
	scripts scripts
	metrics *metrics
	hub     *hub
}

// New returns a Store on client, of any topology. It checks cfg and connects to
// nothing.
func New(client redis.UniversalClient, cfg Config) (*Store, error) {
	if client == nil {
		return nil, errors.New("redisstore: no client")
	}
	if cluster, ok := client.(*redis.ClusterClient); ok && cluster.Options().ReadOnly {
		return nil, errors.New("redisstore: the client reads from replicas (ReadOnly, RouteByLatency or RouteRandomly), which may lack the latest bytes")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("redisstore: register metrics: %w", err)
	}
	s := &Store{client: client, cfg: cfg, scripts: newScripts(), metrics: m}
	if c, ok := client.(interface{ Options() *redis.Options }); ok { // a cluster has one database
		s.db = c.Options().DB
	}
	s.hub = newHub(s)
	return s, nil
}

// fail wraps an error with what was tried, and counts what is no refusal.
func (s *Store) fail(op string, key stream.Key, err error) error {
	if _, refused := errors.AsType[*refused](err); !refused {
		s.metrics.errors.WithLabelValues(op).Inc()
	}
	return fmt.Errorf("redisstore: %s %s: %w", op, key, err)
}

// refused marks an answer of a script.
type refused struct{ err error }

func (r *refused) Error() string { return r.err.Error() }
func (r *refused) Unwrap() error { return r.err }

// check reads the code of an answer.
func check(code string) error {
	if err := refusal(code); err != nil {
		return &refused{err}
	}
	return nil
}

// Create implements stream.Store. A fork is copied piece by piece; until it is
// whole it is not there, and another call for it gets stream.ErrBusy.
func (s *Store) Create(ctx context.Context, key stream.Key, c stream.Create) (stream.State, bool, error) {
	state, created, err := s.create(ctx, key, c)
	if err != nil {
		return state, created, s.fail("create", key, err)
	}
	return state, created, nil
}

func (s *Store) create(ctx context.Context, key stream.Key, c stream.Create) (stream.State, bool, error) {
	if err := key.Valid(); err != nil {
		return stream.State{}, false, &refused{err}
	}
	ends, err := endsAt(c)
	if err != nil {
		return stream.State{}, false, &refused{err}
	}
	f, err := s.fork(ctx, key, c)
	if err != nil {
		return stream.State{}, false, err
	}
	most := c.MaxBytes
	if most == 0 {
		most = s.cfg.MaxBytes
	}
	gen := rand.Text()
	args := []any{
		gen, c.ContentType, base(c.ContentType), optional(millis(c.TTL)), c.ExpiresAt, ends, flag(c.Closed), most, c.Data,
		f.source, f.given, f.sub, f.pos, f.at, f.id, maxForks, maxDepth,
	}
	code, rest, err := reply(s.run(ctx, s.scripts.create, key, args...))
	if err == nil {
		err = check(code)
	}
	if err == nil && code == "copy" {
		code, rest, err = s.copy(ctx, key, source(key, f.source), gen, c)
	}
	if err != nil {
		return stream.State{}, false, err
	}
	state, err := stateOf(rest)
	return state, code == "new", err
}

// endsAt returns the end that c names, in milliseconds, or nothing.
func endsAt(c stream.Create) (string, error) {
	if c.ExpiresAt == "" {
		return "", nil
	}
	t, err := time.Parse(time.RFC3339Nano, c.ExpiresAt)
	if err != nil || c.TTL != 0 {
		return "", fmt.Errorf("%w: expiry", stream.ErrInvalid)
	}
	return strconv.FormatInt(t.UnixMilli(), 10), nil
}

func base(contentType string) string { return stream.BaseType(contentType) }

// Open implements stream.Store.
func (s *Store) Open(ctx context.Context, key stream.Key, c stream.Claim) (stream.State, error) {
	if err := key.Valid(); err != nil {
		return stream.State{}, s.fail("open", key, &refused{err})
	}
	most := c.MaxBytes
	if most == 0 {
		most = s.cfg.MaxBytes
	}
	code, rest, err := reply(s.run(ctx, s.scripts.open, key, rand.Text(), c.Run, c.ContentType, base(c.ContentType), most, optional(c.Keep), flag(c.Restart), optional(millis(c.TTL))))
	if err == nil {
		err = check(code)
	}
	var state stream.State
	if err == nil {
		state, err = stateOf(rest)
	}
	if err != nil {
		return stream.State{}, s.fail("open", key, err)
	}
	return state, nil
}

// Append implements stream.Store.
func (s *Store) Append(ctx context.Context, key stream.Key, a stream.Append) (stream.Appended, error) {
	args := []any{base(a.ContentType), a.Data, flag(a.Close), a.Run, a.At, a.Seq, "", "", ""}
	if a.Producer != nil {
		p := *a.Producer
		args = append(args[:6], p.ID, p.Epoch, p.Seq)
	}
	code, rest, err := reply(s.run(ctx, s.scripts.append, key, append(args, s.cfg.InlineBytes, s.cfg.MaxProducers, optional(millis(a.TTL)))...))
	if err == nil {
		err = check(code)
	}
	var done stream.Appended
	if len(rest) == 4 {
		done = stream.Appended{
			End:    stream.Offset{Edition: number(rest[0]), Pos: number(rest[1])},
			Closed: text(rest[2]) != "", Repeated: code == "dup", ProducerSeq: number(rest[3]),
		}
		switch code {
		case "stale":
			err = &refused{&stream.ProducerError{Stale: true, Epoch: done.ProducerSeq}}
		case "gap":
			err = &refused{&stream.ProducerError{Gap: true, Expected: done.ProducerSeq}}
		case "epoch":
			err = &refused{&stream.ProducerError{}}
		}
	}
	if err != nil {
		return done, s.fail("append", key, err)
	}
	if code == "ok" {
		s.metrics.appended.Add(float64(len(a.Data)))
	}
	return done, nil
}

// Read implements stream.Store.
func (s *Store) Read(ctx context.Context, key stream.Key, from stream.Offset, limit int, touch bool) (stream.Page, error) {
	edition := strconv.FormatInt(from.Edition, 10)
	switch from {
	case stream.Start:
		edition = "start"
	case stream.Now:
		edition = "now"
	}
	s.metrics.reads.Inc()
	code, rest, err := reply(s.run(ctx, s.scripts.read, key, edition, from.Pos, limit, flag(touch)))
	if err == nil {
		err = check(code)
	}
	var page stream.Page
	if err == nil || code == "moved" {
		var bad error
		page.State, bad = stateOf(rest)
		err = errors.Join(err, bad)
	}
	if err != nil {
		return page, s.fail("read", key, err)
	}
	if len(rest) < 3 {
		return page, s.fail("read", key, errShort)
	}
	page.Data = []byte(text(rest[2]))
	page.From = stream.Offset{Edition: page.State.End.Edition, Pos: number(rest[1])}
	page.To = stream.Offset{Edition: page.From.Edition, Pos: page.From.Pos + int64(len(page.Data))}
	return page, nil
}

// Delete implements stream.Store.
func (s *Store) Delete(ctx context.Context, key stream.Key) error {
	code, err := s.run(ctx, s.scripts.delete, key).Text()
	if err == nil {
		err = check(code)
	}
	if err != nil {
		return s.fail("delete", key, err)
	}
	return nil
}

// Expire has a stream end after some time, in place of what it was made with:
// reading and writing prolong it no longer.
func (s *Store) Expire(ctx context.Context, key stream.Key, after time.Duration) error {
	code, err := s.run(ctx, s.scripts.expire, key, millis(after)).Text()
	if err == nil {
		err = check(code)
	}
	if err != nil {
		return s.fail("expire", key, err)
	}
	return nil
}
