package push

import (
	"encoding/json"
	"strconv"
	"time"
)

// Seq is a push's place in its session's mailbox: a hybrid logical clock in
// microseconds since 1970, strictly increasing within a session. It is issued
// by the store at append, max(previous+1, the store's clock), so that it stays
// above every cursor handed out even when a failover rewinds the log. Zero
// means "before everything".
type Seq uint64

// Time returns the store's clock at the append. Pushes appended within one
// microsecond, or while the clock stood behind, read a little late.
func (s Seq) Time() time.Time { return time.UnixMicro(int64(s)) } //nolint:gosec // microseconds fit for 290,000 years

// String returns the decimal form, the one that stores use.
func (s Seq) String() string { return strconv.FormatUint(uint64(s), 10) }

// ParseSeq reads the form that [Seq.String] writes.
func ParseSeq(s string) (Seq, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return Seq(n), err
}

// Message is a push on its way to a session.
type Message struct {
	// ID names the push for idempotence: the same ID is stored once within
	// the retention window, whoever repeats it. A Publisher mints a random
	// one when it is empty. At most MaxIDLen bytes.
	ID string
	// Session is the ID of the session it goes to. At most MaxIDLen bytes.
	Session string
	// Action is the name of the controller method to run. At most
	// MaxActionLen bytes.
	Action string
	// Data is a JSON object, or empty for none. The Publisher bounds it by
	// PublisherConfig.MaxDataBytes.
	Data json.RawMessage
	// Replaces, when not empty, is a key: an earlier push of this session
	// with the same key that nobody has acknowledged is taken out of the
	// mailbox as this one goes in. It is how progress stays latest-wins and
	// bounded by one entry.
	Replaces string
	// Final says that this is the last push of the Replaces key: the pending
	// one is taken out, and a push of the key that comes later and is not
	// Final itself is not stored; its receipt says Superseded. A store
	// remembers at least as many ends of a session as half its mailbox's
	// bound, the latest ones, and a day longer than pushes wait. It keeps room for
	// a quarter more pushes than its bound says, and that is for such ones
	// alone. Whoever begins anew takes another key.
	Final bool
	// Traceparent carries a W3C trace context, or is empty.
	Traceparent string
}

// Entry is a message stored in a mailbox.
type Entry struct {
	Message
	// Seq is its place.
	Seq Seq
	// Prev is the Seq appended before it, zero for the first. A reader whose
	// cursor is below Prev has missed something and reads the mailbox.
	Prev Seq
	// Err is set when the stored form cannot be decoded (ErrDecode or
	// ErrVersion); then only Session, Seq, Prev and, when known, ID hold.
	Err error
}

// Receipt tells what became of an accepted push.
type Receipt struct {
	// ID is the push ID, minted or given.
	ID string
	// Seq is its place in the mailbox.
	Seq Seq
	// Nodes is how many nodes were woken; zero means that it is parked until
	// the next mount.
	Nodes int
	// Duplicate is true when the ID was stored before; Seq is then the first
	// one's.
	Duplicate bool
	// Superseded is true when the push was not stored, because the last one of
	// its Replaces key (see Message.Final) was stored before; Seq is then the
	// last one's. Only pushes with such a key, and without Final, meet it.
	Superseded bool
}
