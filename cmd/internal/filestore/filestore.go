// Package filestore keeps uploaded files where every process can read them: in
// Redis, cut into chunks, for a limited time. Web and worker need no shared
// disk. Files go in and come out as streams; neither side ever holds more than
// one chunk. It is a part of the demonstration, no object store: a file is gone
// after its time. Only cmd/web and cmd/worker use it.
//
// Keys, all with the prefix of Config.Prefix and the file's ID as hash tag:
//
//	<prefix>:file:{<id>}      hash    name, size, chunk size; written last: without it there is no file
//	<prefix>:file:{<id>}:<n>  string  chunk n, counted from 0
//	<prefix>:files            zset    "<id>:<size>" by the time of expiry, to bound the total
//
// Every chunk expires, so that a process killed while it stores a file leaves
// nothing behind for longer than an hour.
package filestore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrTooLarge means that a file exceeds Config.MaxBytes. Nothing is kept.
	ErrTooLarge = errors.New("filestore: file too large")

	// ErrFull means that the files stored now exceed Config.MaxTotalBytes.
	// Nothing is kept; room comes back as files are deleted or expire.
	ErrFull = errors.New("filestore: store is full")

	// ErrNotFound means that there is no such file: it never was, was deleted,
	// or its lifetime has passed, perhaps in the middle of reading it.
	ErrNotFound = errors.New("filestore: file not found")
)

// Config tunes a Store. The zero value is ready for production.
type Config struct {
	// Prefix starts every key. Defaults to "lm".
	Prefix string
	// MaxBytes bounds one file. Defaults to 64 MiB.
	MaxBytes int64
	// MaxTotalBytes bounds all files together. It is checked when a file
	// starts, so files that come in at the same time may exceed it by their
	// own sizes. Defaults to 1 GiB.
	MaxTotalBytes int64
	// ChunkBytes is the size of a chunk. Defaults to 256 KiB.
	ChunkBytes int
	// TTL is how long a file is kept. Defaults to 24 hours.
	TTL time.Duration
}

// Store keeps files. It starts nothing and is safe for concurrent use.
type Store struct {
	client redis.UniversalClient
	cfg    Config
}

// Info describes a stored file.
type Info struct {
	ID   string
	Name string
	Size int64
}

// uploadTTL is the lifetime of a chunk whose file is not complete.
const uploadTTL = time.Hour

// New checks cfg and fills its defaults.
func New(client redis.UniversalClient, cfg Config) (*Store, error) {
	if client == nil {
		return nil, errors.New("filestore: no Redis client")
	}
	if cfg.MaxBytes < 0 || cfg.MaxTotalBytes < 0 || cfg.ChunkBytes < 0 || cfg.TTL < 0 {
		return nil, errors.New("filestore: Config: no setting may be negative")
	}
	cfg.Prefix = cmp.Or(cfg.Prefix, "lm")
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 64<<20)
	cfg.MaxTotalBytes = cmp.Or(cfg.MaxTotalBytes, 1<<30)
	cfg.ChunkBytes = cmp.Or(cfg.ChunkBytes, 256<<10)
	cfg.TTL = cmp.Or(cfg.TTL, 24*time.Hour)
	return &Store{client: client, cfg: cfg}, nil
}

// MaxBytes returns the bound of one file.
func (s *Store) MaxBytes() int64 { return s.cfg.MaxBytes }

// Save stores what r yields under a new, unguessable ID. The file exists once
// Save has returned without error; otherwise nothing of it stays. An error of r
// is returned wrapped.
func (s *Store) Save(ctx context.Context, name string, r io.Reader) (Info, error) {
	if err := s.room(ctx); err != nil {
		return Info{}, err
	}
	info := Info{ID: rand.Text(), Name: name}
	chunks, err := s.write(ctx, &info, r)
	if err == nil {
		err = s.seal(ctx, info, chunks)
	}
	if err != nil {
		s.discard(ctx, info.ID, chunks)
		return Info{}, err
	}
	return info, nil
}

func (s *Store) write(ctx context.Context, info *Info, r io.Reader) (chunks int, err error) {
	buf := make([]byte, s.cfg.ChunkBytes)
	for {
		n, err := io.ReadFull(r, buf)
		if info.Size += int64(n); info.Size > s.cfg.MaxBytes {
			return chunks, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, s.cfg.MaxBytes)
		}
		if n > 0 {
			if err := s.client.Set(ctx, s.chunkKey(info.ID, chunks), buf[:n], min(uploadTTL, s.cfg.TTL)).Err(); err != nil {
				return chunks, fmt.Errorf("filestore: store chunk %d: %w", chunks, err)
			}
			chunks++
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return chunks, nil
		case err != nil:
			return chunks, fmt.Errorf("filestore: receive file: %w", err)
		}
	}
}

// seal gives all keys their lifetime and makes the file exist.
func (s *Store) seal(ctx context.Context, info Info, chunks int) error {
	pipe := s.client.Pipeline()
	for i := range chunks {
		pipe.Expire(ctx, s.chunkKey(info.ID, i), s.cfg.TTL)
	}
	pipe.HSet(ctx, s.key(info.ID), "name", info.Name, "size", info.Size, "chunks", chunks)
	pipe.Expire(ctx, s.key(info.ID), s.cfg.TTL)
	pipe.ZAdd(ctx, s.indexKey(), redis.Z{Score: float64(time.Now().Add(s.cfg.TTL).Unix()), Member: member(info)})
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("filestore: complete file: %w", err)
	}
	return nil
}

// discard removes what a failed Save has left; what it cannot remove expires.
func (s *Store) discard(ctx context.Context, id string, chunks int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.unlink(ctx, id, chunks+1)
}

// room sweeps the index and checks the total.
func (s *Store) room(ctx context.Context) error {
	pipe := s.client.Pipeline()
	pipe.ZRemRangeByScore(ctx, s.indexKey(), "-inf", strconv.FormatInt(time.Now().Unix(), 10))
	all := pipe.ZRange(ctx, s.indexKey(), 0, -1)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("filestore: look for room: %w", err)
	}
	var total int64
	for _, m := range all.Val() {
		_, size, _ := strings.Cut(m, ":")
		n, _ := strconv.ParseInt(size, 10, 64) // we wrote it; a foreign entry counts as nothing
		total += n
	}
	if total >= s.cfg.MaxTotalBytes {
		return fmt.Errorf("%w: it holds %d bytes", ErrFull, total)
	}
	return nil
}

// Open returns the file as a stream that fetches one chunk at a time and obeys
// ctx. Nothing has to be closed.
func (s *Store) Open(ctx context.Context, id string) (Info, io.Reader, error) {
	info, chunks, err := s.stat(ctx, id)
	if err != nil {
		return Info{}, nil, err
	}
	next := 0
	var rest string
	return info, readFunc(func(b []byte) (int, error) {
		for rest == "" {
			if next == chunks {
				return 0, io.EOF
			}
			chunk, err := s.client.Get(ctx, s.chunkKey(id, next)).Result()
			if errors.Is(err, redis.Nil) {
				return 0, fmt.Errorf("%w: chunk %d is gone", ErrNotFound, next)
			}
			if err != nil {
				return 0, fmt.Errorf("filestore: read chunk %d: %w", next, err)
			}
			rest, next = chunk, next+1
		}
		n := copy(b, rest)
		rest = rest[n:]
		return n, nil
	}), nil
}

func (s *Store) stat(ctx context.Context, id string) (Info, int, error) {
	m, err := s.client.HGetAll(ctx, s.key(id)).Result()
	if err != nil {
		return Info{}, 0, fmt.Errorf("filestore: look up file: %w", err)
	}
	if len(m) == 0 {
		return Info{}, 0, ErrNotFound
	}
	size, err1 := strconv.ParseInt(m["size"], 10, 64)
	chunks, err2 := strconv.Atoi(m["chunks"])
	if err := errors.Join(err1, err2); err != nil {
		return Info{}, 0, fmt.Errorf("filestore: look up file: %w", err)
	}
	return Info{ID: id, Name: m["name"], Size: size}, chunks, nil
}

// Delete removes the file. It is idempotent: no such file is no error.
func (s *Store) Delete(ctx context.Context, id string) error {
	info, chunks, err := s.stat(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.client.ZRem(ctx, s.indexKey(), member(info)).Err(); err != nil {
		return fmt.Errorf("filestore: delete file: %w", err)
	}
	return s.unlink(ctx, id, chunks)
}

func (s *Store) unlink(ctx context.Context, id string, chunks int) error {
	pipe := s.client.Pipeline()
	pipe.Unlink(ctx, s.key(id))
	for i := range chunks {
		pipe.Unlink(ctx, s.chunkKey(id, i))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("filestore: delete file: %w", err)
	}
	return nil
}

func (s *Store) key(id string) string { return s.cfg.Prefix + ":file:{" + id + "}" }

func (s *Store) chunkKey(id string, n int) string { return s.key(id) + ":" + strconv.Itoa(n) }

func (s *Store) indexKey() string { return s.cfg.Prefix + ":files" }

func member(i Info) string { return i.ID + ":" + strconv.FormatInt(i.Size, 10) }

// readFunc makes a reader of a function.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }
