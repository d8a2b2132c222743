package pages

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"lastmile/live"
	"lastmile/push"
)

// WebhookState is the page's address for others to call, and the last calls.
type WebhookState struct {
	URL   string
	Calls []Call `live:"persist"`
}

// Call is one delivery.
type Call struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	Type string    `json:"type"`
	Body string    `json:"body"`
}

const (
	maxCalls    = 20
	maxHookBody = 16 << 10
	// maxHookType bounds what is kept of a call's media type, in bytes.
	maxHookType = 256
	hookTTL     = 7 * 24 * time.Hour
)

// Webhook is the page that shows what its webhook received.
type Webhook struct {
	seal *sealer
	base *url.URL
}

// Mount makes the page's address.
func (c *Webhook) Mount(s WebhookState, ctx *live.Context) (WebhookState, error) {
	s.URL = c.base.JoinPath("hooks", c.seal.seal(ctx.Session().ID(), time.Now().Add(hookTTL))).String()
	return s, nil
}

// Hooked takes a call.
func (c *Webhook) Hooked(s WebhookState, ctx *live.Context) (WebhookState, error) {
	var call Call
	if err := ctx.Bind(&call); err != nil {
		return s, fmt.Errorf("%w: %w", push.ErrReject, err)
	}
	calls := append([]Call{call}, s.Calls...)
	s.Calls = calls[:min(len(calls), maxCalls)]
	return s, nil
}

// Clear empties the list.
func (c *Webhook) Clear(s WebhookState, _ *live.Context) (WebhookState, error) {
	s.Calls = nil
	return s, nil
}

// Hooks receives calls at POST /hooks/{token} and pushes them into the page that
// the token was made for. A header Idempotency-Key makes repeating a call safe.
// It answers 202 once the push is stored, 403 for a token that is forged or too
// old, 413 for a body over 16 KB, and 429 when the session's mailbox is full.
type Hooks struct {
	seal      *sealer
	publisher *push.Publisher
	log       *slog.Logger
}

// ServeHTTP serves one call.
func (h *Hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session, err := h.seal.open(r.PathValue("token"), time.Now())
	if err != nil {
		http.Error(w, "this address is not valid, or no longer", http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHookBody))
	if err != nil {
		http.Error(w, "the body must have at most 16 KB", http.StatusRequestEntityTooLarge)
		return
	}
	call := Call{At: time.Now().UTC(), Type: r.Header.Get("Content-Type"), Body: string(body)}
	media, _, _ := mime.ParseMediaType(call.Type)
	form := media == "application/x-www-form-urlencoded"
	if form {
		values, _ := url.ParseQuery(call.Body)
		call.Type, call.Body = "text/plain", values.Get("text")
	}
	if call.Type = call.Type[:min(len(call.Type), maxHookType)]; !fits(call.Body) {
		call.Body = hex.EncodeToString(body[:min(len(body), maxHookBody/2)])
	}
	var opts []push.Option
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte(key))
		opts = append(opts, push.WithID("hook:"+hex.EncodeToString(sum[:16])))
	}
	receipt, err := h.publisher.Session(session).Trigger(r.Context(), "Hooked", call, opts...)
	switch {
	case errors.Is(err, push.ErrMailboxFull):
		w.Header().Set("Retry-After", "60")
		http.Error(w, "too many calls wait for the page", http.StatusTooManyRequests)
	case err != nil:
		h.log.ErrorContext(r.Context(), "webhook not stored", "session", push.Redact(session), "error", err)
		http.Error(w, "not stored; please repeat", http.StatusServiceUnavailable)
	case form:
		http.Redirect(w, r, "/webhook", http.StatusSeeOther)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": receipt.ID, "duplicate": receipt.Duplicate}) // the caller is gone
	}
}

// fits tells a text that takes about its own size as JSON, and so no more than
// its part of a push and of the page's state.
func fits(text string) bool {
	b, err := json.Marshal(text)
	return err == nil && utf8.ValidString(text) && len(b) <= 2*maxHookBody
}

// sealer makes tokens that hold a session and a time of expiry, readable and
// forgeable by nobody without the secret.
type sealer struct{ aead cipher.AEAD }

func newSealer(secret []byte) (*sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "lastmile webhook address", 32)
	if err != nil {
		return nil, fmt.Errorf("pages: webhook key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("pages: webhook key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("pages: webhook key: %w", err)
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(session string, until time.Time) string {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+8+len(session)+s.aead.Overhead())
	_, _ = rand.Read(nonce)                                           // it never fails
	plain := binary.BigEndian.AppendUint64(nil, uint64(until.Unix())) //nolint:gosec // a time to come is positive
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, append(plain, session...), nil))
}

var errToken = errors.New("pages: token is not valid")

func (s *sealer) open(token string, now time.Time) (session string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < s.aead.NonceSize() {
		return "", errToken
	}
	plain, err := s.aead.Open(nil, b[:s.aead.NonceSize()], b[s.aead.NonceSize():], nil)
	if err != nil || len(plain) < 8 {
		return "", errToken
	}
	if until := binary.BigEndian.Uint64(plain); uint64(now.Unix()) > until { //nolint:gosec // the clock is past 1970
		return "", errToken
	}
	return string(plain[8:]), nil
}
