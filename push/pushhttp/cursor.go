package pushhttp

import (
	"cmp"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lastmile/push"
)

// cursor is a reader's place. What it has seen is
//   - of what was parked when it began, the pushes up to seq, and
//   - of the others, those up to seq or base, whichever is later.
//
// base matters at the beginning alone: parked pushes come first, and their
// numbers lie before the place where the mailbox is read from.
type cursor struct {
	epoch     string
	seq, base push.Seq
}

// reach is how far the reader has come in the mailbox.
func (c cursor) reach() push.Seq { return max(c.seq, c.base) }

// tagLen is the length of a cursor's signature, in bytes: 96 bits cannot be
// guessed over a network.
const tagLen = 12

const (
	cursorPurpose = "lastmile pushhttp cursor 1"
	tokenPurpose  = "lastmile pushhttp token 1" //nolint:gosec // it names what a key is for
)

// minSecret is the length of a secret that cannot be guessed.
const minSecret = 32

var errCursor = errors.New("pushhttp: no cursor of this reader")

// keys are what the secrets are used for. The first signs and seals, all are
// accepted, so that secrets can be replaced one after the other.
type keys struct{ cursors, tokens [][]byte }

func newKeys(secrets [][]byte) (keys, error) {
	var k keys
	for i, secret := range secrets {
		if len(secret) < minSecret {
			return k, fmt.Errorf("pushhttp: Config: Secrets[%d] has %d bytes, at least %d are needed", i, len(secret), minSecret)
		}
		c, err := hkdf.Key(sha256.New, secret, nil, cursorPurpose, sha256.Size)
		t, err2 := hkdf.Key(sha256.New, secret, nil, tokenPurpose, sha256.Size)
		if err := cmp.Or(err, err2); err != nil {
			return k, fmt.Errorf("pushhttp: derive keys: %w", err)
		}
		k.cursors, k.tokens = append(k.cursors, c), append(k.tokens, t)
	}
	return k, nil
}

// tag signs a cursor for a session and a filter.
func tag(key []byte, session string, only filter, c cursor) []byte {
	mac := hmac.New(sha256.New, key)
	var n [8]byte
	for _, part := range append([]string{session, c.epoch, c.seq.String(), c.base.String()}, only...) {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)[:tagLen]
}

// format writes a cursor: epoch.seq.tag, and .base while that matters. Scripts
// may compare the numbers of two cursors with the same epoch.
func (k keys) format(session string, only filter, c cursor) string {
	if c.base <= c.seq {
		c.base = 0
	}
	s := c.epoch + "." + c.seq.String() + "." + base64.RawURLEncoding.EncodeToString(tag(k.cursors[0], session, only, c))
	if c.base > 0 {
		s += "." + c.base.String()
	}
	return s
}

// parse returns what format has written for this session and filter, and
// errCursor for everything else.
func (k keys) parse(session string, only filter, s string) (cursor, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 && len(parts) != 4 {
		return cursor{}, errCursor
	}
	c := cursor{epoch: parts[0]}
	var err, err2 error
	c.seq, err = push.ParseSeq(parts[1])
	if len(parts) == 4 {
		c.base, err2 = push.ParseSeq(parts[3])
	}
	sum, err3 := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if cmp.Or(err, err2, err3) != nil {
		return cursor{}, errCursor
	}
	if parts[1] != c.seq.String() || strings.ContainsAny(parts[2], "\r\n") || len(parts) == 4 && (parts[3] != c.base.String() || c.base <= c.seq) {
		return cursor{}, errCursor // a place has one form, the one that format writes
	}
	for _, key := range k.cursors {
		if hmac.Equal(sum, tag(key, session, only, c)) {
			return c, nil
		}
	}
	return cursor{}, errCursor
}

// filter holds the actions that a reader wants, sorted; none means all.
type filter []string

// newFilter reads a list of actions, separated by commas.
func newFilter(list string) (filter, error) {
	if list == "" {
		return nil, nil
	}
	only := filter(strings.Split(list, ","))
	if len(only) > maxActions {
		return nil, fmt.Errorf("%w: %d actions, at most %d are allowed", push.ErrInvalid, len(only), maxActions)
	}
	for _, action := range only {
		if err := push.ValidAction(action); err != nil {
			return nil, err
		}
	}
	return sorted(only), nil
}

// sorted makes a filter of actions that are valid.
func sorted(actions []string) filter {
	return slices.Compact(slices.Sorted(slices.Values(actions)))
}

// maxActions bounds a filter.
const maxActions = 64

func (f filter) wants(action string) bool {
	if len(f) == 0 {
		return true
	}
	_, found := slices.BinarySearch(f, action)
	return found
}
