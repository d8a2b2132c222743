package pushhttp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lastmile/push"
)

// MaxTokenTTL bounds the life of a token: it cannot be taken back.
const MaxTokenTTL = time.Hour

var errToken = errors.New("pushhttp: token not valid")

// pass is what a token holds. It is sealed and not only signed: the session's ID
// is a secret.
type pass struct {
	Session string   `json:"s"`
	Actions []string `json:"a,omitempty"`
	Expires int64    `json:"e"` // unix seconds
}

// Token returns a bearer token for one session, and for these actions alone if
// any are named, that is valid for ttl, at most MaxTokenTTL. It is for clients
// without the application's cookie: mobile apps, and pages of other origins. They
// send it in the Authorization header, or in a WebSocket's subprotocol
// "bearer.<token>", and never in an address. When it expires the stream says so
// (the event "expired") and ends; push.js asks for another one then.
func (h *Handler) Token(session string, ttl time.Duration, actions ...string) (string, error) {
	if ttl <= 0 || ttl > MaxTokenTTL {
		return "", fmt.Errorf("pushhttp: token: %w: lifetime %s, want at most %s", push.ErrInvalid, ttl, MaxTokenTTL)
	}
	if n := len(session); n < minSessionLen || n > push.MaxIDLen {
		return "", fmt.Errorf("pushhttp: token: %w: session ID of %d bytes", push.ErrInvalid, n)
	}
	only, err := newFilter(strings.Join(actions, ","))
	if err != nil {
		return "", fmt.Errorf("pushhttp: token: %w", err)
	}
	return h.keys.seal(pass{Session: session, Actions: only, Expires: time.Now().Add(ttl).Unix()})
}

func (k keys) seal(p pass) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("pushhttp: encode token: %w", err)
	}
	aead, err := newAEAD(k.tokens[0])
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, text, nil)), nil //nolint:gosec // it draws the nonce itself
}

// unseal returns what a token holds, or errToken.
func (k keys) unseal(token string) (pass, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return pass{}, errToken
	}
	for _, key := range k.tokens {
		aead, err := newAEAD(key)
		if err != nil {
			return pass{}, err
		}
		text, err := aead.Open(nil, nil, sealed, nil)
		if err != nil {
			continue
		}
		var p pass
		if json.Unmarshal(text, &p) != nil || time.Now().Unix() >= p.Expires {
			return pass{}, errToken
		}
		return p, nil
	}
	return pass{}, errToken
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("pushhttp: token cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("pushhttp: token cipher: %w", err)
	}
	return aead, nil
}
