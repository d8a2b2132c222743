package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a store and a Writer refuse. Errors that wrap none of these, nor a
// *ProducerError, come of the store's being away, and pass.
var (
	ErrInvalid  = errors.New("invalid")
	ErrNotFound = errors.New("no such stream")
	// ErrGone says that the stream was deleted, while forks of it live: its name
	// is not free before they are gone.
	ErrGone = errors.New("stream was deleted")
	// ErrMoved says that the offset is of an earlier edition, or lies before what
	// was kept: read again from Start.
	ErrMoved = errors.New("the offset is no longer there")
	// ErrFenced says that another writer, or a later run, has taken the stream over.
	ErrFenced = errors.New("another writer has taken over")
	ErrClosed = errors.New("stream is closed")
	ErrFull   = errors.New("stream is full")
	// ErrConflict says that the stream is there, with other properties.
	ErrConflict = errors.New("stream has other properties")
	// ErrOrder says that a sequence given by the caller is not above the last.
	ErrOrder = errors.New("sequence is not above the last one")
	// ErrPlace says that bytes were to be stored elsewhere than at the end: two
	// writers share a run.
	ErrPlace = errors.New("the stream ends elsewhere")
	// ErrBusy says that a fork is being copied. It is whole, or given up, in a minute.
	ErrBusy = errors.New("stream is being copied")
	// ErrSource says that a fork's source is deleted or has changed meanwhile.
	ErrSource = errors.New("source of the fork is not there any more")
	ErrForks  = errors.New("source has too many forks")
	// ErrDiverged says that a Writer was given other bytes than those that an
	// earlier run has stored.
	ErrDiverged = errors.New("what is written differs from what is stored")
)

// ProducerError says why an append of a Producer was refused.
type ProducerError struct {
	// Stale is true when a producer with the same ID and a later epoch has
	// appended: that one's epoch is Epoch.
	Stale bool
	Epoch int64
	// Gap is true when appends are missing before this one: Expected is the
	// sequence that comes next.
	Gap      bool
	Expected int64
	// With neither, a new epoch has not begun at sequence 0.
}

func (e *ProducerError) Error() string {
	switch {
	case e.Stale:
		return fmt.Sprintf("producer was replaced by one of epoch %d", e.Epoch)
	case e.Gap:
		return fmt.Sprintf("producer's sequence has a gap: expected %d", e.Expected)
	}
	return "producer's new epoch does not begin at sequence 0"
}

// Key names a stream.
type Key struct {
	// Group holds streams that lie together: on one server of a cluster, and so
	// can be forks of each other. One of every job, user or document spreads them.
	Group string
	// Name is the stream's within the group. It may be empty.
	Name string
}

// maxKeyLen bounds a Group and a Name, in bytes.
const maxKeyLen = 512

// Valid returns an error that wraps ErrInvalid if the key cannot be used.
func (k Key) Valid() error {
	if k.Group == "" || len(k.Group) > maxKeyLen || len(k.Name) > maxKeyLen {
		return fmt.Errorf("stream: %w: group of %d and name of %d bytes, want 1 to %d and at most %d",
			ErrInvalid, len(k.Group), len(k.Name), maxKeyLen, maxKeyLen)
	}
	return nil
}

// String returns the key for messages.
func (k Key) String() string { return k.Group + "/" + k.Name }

// State is what is known of a stream beside its bytes.
type State struct {
	// ID is another one for each stream that was created under a key.
	ID          string
	ContentType string
	// First is where the edition begins, Begin the first offset that can be read,
	// End the one behind the last byte.
	First, Begin, End Offset
	Closed            bool
	// Run is the run of the writer that owns the stream, 0 if none does.
	Run int64
	// TTL is how long the stream lives when nobody reads or writes, 0 for ever;
	// or else ExpiresAt is when it ends, as it was given.
	TTL       time.Duration
	ExpiresAt string
}

// Create says what stream to make.
type Create struct {
	// ContentType defaults to application/octet-stream, or to a fork's source's.
	ContentType string
	// TTL is the lifetime, counted anew with each read and write; ExpiresAt is
	// the end of it, in the form of RFC 3339. At most one is given; without one a
	// fork has its source's, and other streams live for ever.
	TTL       time.Duration
	ExpiresAt string
	// MaxBytes bounds what is stored. Defaults to the store's bound.
	MaxBytes int64
	// Data is what the stream begins with, and Closed closes it behind that.
	Data   []byte
	Closed bool
	// Fork makes the stream begin with what another one of the group holds.
	Fork *Fork
}

// Fork says where a fork leaves its source.
type Fork struct {
	// Source is the name of another stream in the group.
	Source string
	// At is where the fork leaves it, and Sub how many messages of a JSON stream,
	// or bytes of another one, behind At. Start stands for the source's end.
	At  Offset
	Sub int64
}

// Producer makes appends of a writer without a run repeatable: see Append.
type Producer struct {
	ID         string
	Epoch, Seq int64
}

// Append says what to append.
type Append struct {
	// ContentType must be the stream's, parameters apart, if there is Data.
	// Empty stands for the stream's.
	ContentType string
	Data        []byte
	// Close closes the stream behind Data: both happen, or neither. TTL is the
	// lifetime from then on, see Create; 0 leaves it as it is.
	Close bool
	TTL   time.Duration

	// Run is the fence of the stream's owner, see Open, and At is where Data must
	// come to lie. A repeat of what is stored there already succeeds.
	Run int64
	At  int64

	// Seq, if not empty, must be above that of all appends before, as strings sort.
	Seq string
	// Producer, if any, numbers its appends from 0: repeats change nothing.
	Producer *Producer
}

// Appended is the answer to an Append.
type Appended struct {
	End    Offset
	Closed bool
	// Repeated is true if it had been stored before; ProducerSeq is the last
	// sequence of the producer then.
	Repeated    bool
	ProducerSeq int64
}

// Claim says how an owner opens a stream.
type Claim struct {
	// Run fences: once a run has opened the stream, no earlier one can append. 0
	// stands for the next one.
	Run int64
	// ContentType, MaxBytes and Keep are for a stream that is not there yet. One
	// that is has to be of the same type.
	ContentType string
	MaxBytes    int64
	// Keep bounds what can be read, in bytes: what lies before is trimmed. 0 keeps all.
	Keep int64
	// Restart begins a new edition, if there is anything in the stream.
	Restart bool
	// TTL is the lifetime, see Create; 0 leaves it as it is, and a new stream without.
	TTL time.Duration
}

// Page is what one read finds.
type Page struct {
	State State
	// Data lies between From and To. Its borders are those of appends, apart from
	// a From that lay within one.
	Data     []byte
	From, To Offset
}

// Ended says whether nothing will follow the page.
func (p Page) Ended() bool { return p.State.Closed && p.To == p.State.End }

// UpToDate says whether nothing follows the page now.
func (p Page) UpToDate() bool { return p.To == p.State.End }

// Chunk is a part of a stream.
type Chunk struct {
	Data     []byte
	From, To Offset
	// Ended says that nothing follows.
	Ended bool
}

// Store keeps streams. Its methods are safe for concurrent use, and what one
// has stored is seen by the next call, whoever makes it.
type Store interface {
	// Create makes a stream. A stream that is there with the same properties
	// stays as it is; created is false then.
	Create(ctx context.Context, key Key, c Create) (state State, created bool, err error)
	// Open gives the stream to the owner with a run, and makes it if there is none.
	Open(ctx context.Context, key Key, c Claim) (State, error)
	// Append appends once or not at all.
	Append(ctx context.Context, key Key, a Append) (Appended, error)
	// Read reads at most about limit bytes from an offset on, whole appends and at
	// least one; none if limit is 0. With touch it counts as a use of the stream: see
	// Create.TTL.
	Read(ctx context.Context, key Key, from Offset, limit int, touch bool) (Page, error)
	// Delete ends a stream. Readers get ErrNotFound, or ErrGone.
	Delete(ctx context.Context, key Key) error
	// Watch tells of changes until it is closed.
	Watch(key Key) Watch
}

// Watch tells a reader of changes of a stream. Not safe for concurrent use.
type Watch interface {
	// Changed returns a channel that is closed when there may be something new
	// after this call.
	Changed() <-chan struct{}
	// Since returns what is known to follow an offset of the stream with an ID (see
	// State) without asking the store.
	// known is false if the store has to be asked; else an empty chunk that is not
	// Ended says that there is nothing new.
	Since(id string, from Offset) (c Chunk, known bool)
	Close()
}

// BaseType returns a content type without its parameters, in lower case.
func BaseType(contentType string) string {
	base, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(base))
}
