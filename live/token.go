package live

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lastmile/live/internal/delivery"
)

// Tokens travel through the page, so they name nothing secret: the session and
// the user are only part of what is signed. Each purpose has its own prefix, so that one
// kind of token is never taken for another.
const (
	connPurpose = "live conn 3"
	ackPurpose  = "live ack 2"
)

// tokenAge bounds a connection token; the record it names dies much earlier.
const tokenAge = 7 * 24 * time.Hour

var (
	errToken = errors.New("live: token not valid")
	// errOtherUser means that the page was made for another user, who has put in
	// what stands in its fields.
	errOtherUser = fmt.Errorf("%w: it is another user's", errToken)
)

// sign computes a token's signature over parts that cannot run into each other.
func (h *Hub) sign(parts ...string) []byte {
	mac := hmac.New(sha256.New, h.cfg.Secret)
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		mac.Write(n[:])
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}

// connToken names a connection to the browser that has its session, and to the
// user it was made for.
func (h *Hub) connToken(conn string, who Identity, view string) string {
	expiry := fmt.Sprintf("%x", time.Now().Add(tokenAge).Unix())
	mac := h.sign(connPurpose, conn, who.Session, who.UserID, view, expiry)
	return base64.RawURLEncoding.EncodeToString(append([]byte(conn+"."+expiry+"."+userTag(conn, who.UserID)+"."), mac...))
}

// userTag tells the pages of users apart, also those of a node with another
// secret. Nobody is "": who signs in takes along what they had put in.
func userTag(conn, user string) string {
	if user == "" {
		return ""
	}
	return cause{"user", conn, user}.id()
}

// parseConnToken returns the connection that a token names, and whether the
// browser can go on using it: less than half its time has passed.
func (h *Hub) parseConnToken(token string, who Identity, view string) (conn string, fresh bool, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", false, errToken
	}
	conn, rest, _ := strings.Cut(string(b), ".")
	expiry, rest, _ := strings.Cut(rest, ".")
	tag, mac, ok := strings.Cut(rest, ".")
	if ok && tag != "" && tag != userTag(conn, who.UserID) {
		return "", false, errOtherUser
	}
	if !ok || !hmac.Equal([]byte(mac), h.sign(connPurpose, conn, who.Session, who.UserID, view, expiry)) {
		return "", false, errToken
	}
	var at int64
	if _, err := fmt.Sscanf(expiry, "%x", &at); err != nil || time.Now().Unix() > at {
		return "", false, errToken
	}
	return conn, time.Until(time.Unix(at, 0)) > tokenAge/2, nil
}

// maxReceiptSkipped keeps the receipt of a page short enough for an address.
const maxReceiptSkipped = 32

// ackToken names what a page acknowledges when it arrives. With more skipped
// pushes than fit it covers the oldest part; a later page covers the rest.
func (h *Hub) ackToken(who Identity, view string, r delivery.Receipt) (string, error) {
	if len(r.Skipped) > maxReceiptSkipped {
		r.UpTo = r.Skipped[maxReceiptSkipped] - 1
		r.Skipped = r.Skipped[:maxReceiptSkipped]
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("live: encode receipt: %w", err)
	}
	mac := h.sign(ackPurpose, who.Session, who.UserID, view, string(b))
	return base64.RawURLEncoding.EncodeToString(append(mac, b...)), nil
}

// parseAckToken returns what the token acknowledges.
func (h *Hub) parseAckToken(token string, who Identity, view string) (delivery.Receipt, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < sha256.Size {
		return delivery.Receipt{}, errToken
	}
	mac, body := b[:sha256.Size], b[sha256.Size:]
	if !hmac.Equal(mac, h.sign(ackPurpose, who.Session, who.UserID, view, string(body))) {
		return delivery.Receipt{}, errToken
	}
	var r delivery.Receipt
	if err := json.Unmarshal(body, &r); err != nil {
		return delivery.Receipt{}, errToken
	}
	return r, nil
}

// selfTopic names a session's own topic without telling its ID.
func (h *Hub) selfTopic(session string) string {
	return selfPrefix + base64.RawURLEncoding.EncodeToString(h.sign("live topic 1", session)[:18])
}

// cause names what has a method run, the same for repeated runs. Its ID is
// derived when somebody asks for it, which few actions do.
type cause []string

// id is stable, and tells nothing of the names in it.
func (c cause) id() string {
	b := make([]byte, 0, 256) // most fit, and cost no memory
	for _, p := range c {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}
