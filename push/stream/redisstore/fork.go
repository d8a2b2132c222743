package redisstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"lastmile/push/stream"
)

const (
	// maxForks bounds the forks of a source, maxDepth the sources above a fork.
	maxForks = 1000
	maxDepth = 64
	// copyBytes bounds what one run of the script copies.
	copyBytes = 256 << 10
)

// fork is what create.lua is told of one. The zero value stands for none.
type fork struct {
	source, given, sub, pos, at, id string
}

// fork finds where a fork leaves its source. What is there already needs no
// source any more: the script compares it with what was asked for.
func (s *Store) fork(ctx context.Context, key stream.Key, c stream.Create) (fork, error) {
	if c.Fork == nil {
		return fork{}, nil
	}
	from := source(key, c.Fork.Source)
	if err := from.Valid(); err != nil {
		return fork{}, &refused{err}
	}
	f := fork{source: c.Fork.Source, sub: strconv.FormatInt(c.Fork.Sub, 10)}
	if c.Fork.At != stream.Start {
		f.given = c.Fork.At.String()
	}
	if there, err := s.client.Exists(ctx, s.names(key)[0]).Result(); err != nil {
		return f, err
	} else if there > 0 {
		if _, err := s.Read(ctx, key, stream.Now, 0, false); !errors.Is(err, stream.ErrNotFound) {
			return f, ignore(err, stream.ErrGone)
		}
	}
	page, err := s.Read(ctx, from, stream.Now, 0, false)
	switch {
	case errors.Is(err, stream.ErrGone):
		return f, &refused{fmt.Errorf("source: %w", stream.ErrSource)}
	case err != nil:
		return f, err
	case c.ContentType != "" && base(c.ContentType) != base(page.State.ContentType):
		return f, &refused{stream.ErrConflict}
	}
	at := page.State.End
	if c.Fork.At != stream.Start {
		at = c.Fork.At
	}
	f.at, f.id = at.String(), page.State.ID
	if at.Edition != page.State.End.Edition || at.Pos > page.State.End.Pos || at.Pos < page.State.Begin.Pos {
		return f, &refused{fmt.Errorf("fork offset: %w", stream.ErrInvalid)}
	}
	n, err := s.beyond(ctx, from, at, c.Fork.Sub, base(page.State.ContentType))
	f.pos = strconv.FormatInt(at.Pos+n, 10)
	return f, err
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}

// beyond returns how many bytes sub messages of a JSON stream, or bytes of
// another one, take behind an offset. They may not pass the next border that
// readers are given.
func (s *Store) beyond(ctx context.Context, key stream.Key, at stream.Offset, sub int64, contentType string) (int64, error) {
	if sub == 0 {
		return 0, nil
	}
	page, err := s.Read(ctx, key, at, 1, false)
	if err != nil {
		return 0, err
	}
	if contentType != "application/json" {
		if sub > int64(len(page.Data)) {
			return 0, &refused{fmt.Errorf("fork sub-offset: %w", stream.ErrInvalid)}
		}
		return sub, nil
	}
	var size int64
	for range sub { // each message is followed by a comma
		var message json.RawMessage
		if err := json.NewDecoder(bytes.NewReader(page.Data[size:])).Decode(&message); err != nil {
			return 0, &refused{fmt.Errorf("fork sub-offset: %w", stream.ErrInvalid)}
		}
		size += int64(len(message)) + 1
	}
	return size, nil
}

// copy copies a fork's source, piece by piece, and finishes the fork.
func (s *Store) copy(ctx context.Context, key, from stream.Key, gen string, c stream.Create) (code string, rest []any, err error) {
	names := append(s.names(key), s.names(from)...)
	for code = "more"; err == nil && code == "more"; {
		code, rest, err = reply(s.runWith(ctx, s.scripts.copy, key, names, gen, copyBytes, c.Data, flag(c.Closed)))
		if err == nil {
			err = check(code)
		}
	}
	return code, rest, err
}
