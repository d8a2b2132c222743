package push

import "context"

// Appender stores pushes. It is all that a Publisher needs.
type Appender interface {
	// Append stores m in its session's mailbox and wakes the nodes that hold
	// the session's connections. When it returns nil the push is stored, or the
	// receipt says that it was superseded (see Message.Final). An error that is
	// neither of ErrMailboxFull, ErrSessionClosed, ErrTooLarge nor ErrInvalid
	// leaves the fate unknown: repeating with the same ID is safe. Safe for
	// concurrent use.
	Append(ctx context.Context, m Message) (Receipt, error)
}

// Router wakes nodes for the sessions whose connections they hold. What Listen
// reports is a hint, and losing it costs delay, never data. All methods are
// safe for concurrent use.
type Router interface {
	// Listen registers the node and reports what is appended for the sessions
	// it attached, until ctx ends; it returns nil then. It survives outages of
	// the store by itself, with backoff, and calls l.Resync whenever hints may
	// have been lost; the first time when it has registered the node, because
	// sessions may have been attached before.
	Listen(ctx context.Context, node string, l Listener) error

	// Attach routes the session's pushes to the node and tells what waits
	// after the cursor. It is idempotent. It returns ErrCursorTooOld when
	// acknowledged entries after the cursor have been trimmed (zero is no
	// exception: a fresh mount takes its cursor from Pending), and
	// ErrSessionClosed for a closed session. A cursor beyond the last push
	// lifts the next one above it.
	Attach(ctx context.Context, node, session string, after Seq) (Attachment, error)

	// Detach removes the route. A route left behind is harmless.
	Detach(ctx context.Context, node, session string) error

	// Check reports the state of sessions that the node has attached, and
	// restores routes that are missing, with everything in the mailbox beyond
	// them (see Ack.Route). Sessions come back in order. It is how a node whose
	// hints are lost learns of an emptied store.
	Check(ctx context.Context, node string, sessions []string) ([]Status, error)
}

// Mailbox gives what is stored for a session, and is told what became of it. It
// is the truth. All methods are safe for concurrent use.
type Mailbox interface {
	// Read returns up to limit entries after the cursor, oldest first. A
	// short result is the mailbox's end.
	Read(ctx context.Context, session string, after Seq, limit int) ([]Entry, error)

	// Pending returns what a fresh mount has to apply, oldest first: the
	// parked pushes (see Ack) after the cursor, then every entry after both
	// the cursor and the acked offset. It never returns ErrCursorTooOld.
	Pending(ctx context.Context, session string, after Seq) (Backlog, error)

	// Ack says that one connection has durably processed everything in
	// (a.After, a.UpTo] but for a.Skipped, which its view has no action for.
	// It raises the session's acked offset, parks what nobody has applied yet and
	// trims what is past the resume window.
	Ack(ctx context.Context, session string, a Ack) error

	// DeadLetter moves an entry to the dead letters. It is idempotent: an entry that
	// is gone already is no error.
	DeadLetter(ctx context.Context, session string, seq Seq, f Failure) error
}

// Starts counts how often an entry was started, by processes that may have died
// of it. All methods are safe for concurrent use.
type Starts interface {
	// CountStart counts the start of an entry that is being redelivered, so that one
	// which kills its process is found out, unless most or more starts are
	// counted already. It returns how many were counted before: this one counts
	// if that is less than most. An acknowledgement clears them, and a dead letter,
	// but not one with ReasonCrashLoop: other connections may have the entry
	// in line.
	CountStart(ctx context.Context, session string, seq Seq, most int) (before int, err error)

	// ClearStarts forgets the starts of an entry: a process has survived it. It is
	// idempotent.
	ClearStarts(ctx context.Context, session string, seq Seq) error
}

// NodeStore is all that a Node needs.
type NodeStore interface {
	Router
	Mailbox
	Starts
}

// Transport is a whole store of pushes, as push/redisstream and push/mempush
// have it.
type Transport interface {
	Appender
	NodeStore

	// CloseSession closes a session: what waits in its mailbox is discarded,
	// Append and Attach fail with ErrSessionClosed for as long as the session's
	// keys live (the age bound of pushes and a day, 8 days by default), and the
	// nodes that hold its connections get one more hint, so that they
	// find out. It is idempotent.
	CloseSession(ctx context.Context, session string) error
}

// Listener receives a node's hints. Both methods must return quickly and are
// called from one goroutine.
type Listener interface {
	// Notify reports appended entries, in order for each session.
	Notify(entries []Notice)
	// Resync reports that hints may have been lost: every attached session
	// has to be attached and read again.
	Resync()
}

// Notice is a hint that a session's mailbox has grown, or that the shared state
// of one of its views has changed.
type Notice struct {
	Session string
	// View names the view whose record somebody has stored at Version. It is empty
	// when the hint is about the mailbox; what follows is of such a one.
	View    string
	Version uint64
	// Seq and Prev are the entry's.
	Seq, Prev Seq
	// Entry is the entry itself when it was small enough to travel with the
	// hint, or nil: then read the mailbox.
	Entry *Entry
}

// Attachment is a mailbox's state at the moment of an Attach.
type Attachment struct {
	// Acked is the last push acknowledged for the session.
	Acked Seq
	// Last is the last push appended.
	Last Seq
	// Epoch names the store's history; it changes when the store was emptied,
	// and then cursors of the old one mean nothing.
	Epoch string
	// Parked holds the parked entries after the cursor that have already left
	// the mailbox; they come before anything that Read returns.
	Parked []Entry
}

// Backlog is what a fresh mount has to apply. See Mailbox.Pending.
type Backlog struct {
	// Entries wait to be applied, oldest first.
	Entries []Entry
	// Cursor is where a connection stands that has gone through Entries: the
	// latest of the cursor asked for, the acked offset, and the last entry. It is the
	// cursor to subscribe from, also when there are no entries.
	Cursor Seq
	// Acked is the acked offset: entries up to it are parked ones.
	Acked Seq
	// Epoch is the store's epoch that Cursor belongs to.
	Epoch string
}

// Ack is one connection's acknowledgement. See Mailbox.Ack.
type Ack struct {
	Node    string
	After   Seq
	UpTo    Seq
	Skipped []Seq
	// Route is how far all of the node's connections of the session have
	// come: a full mailbox keeps what lies beyond it. A value below an
	// earlier one changes nothing.
	Route Seq
}

// Status is a session's state as a sweep sees it.
type Status struct {
	Session string
	Last    Seq
	// Epoch is the store's, as in Attachment.
	Epoch string
	// Rerouted is true when the route was missing and has been restored.
	Rerouted bool
}

// Broker carries topic messages between nodes, at most once: what is published
// while a node's connection to the store is down does not reach that node.
// Topics are for presence and fan-out to whoever is there; what has to arrive
// is a push.
type Broker interface {
	// Publish sends payload to the subscribers of the topic on every node.
	Publish(ctx context.Context, topic string, payload []byte) error
	// Follow sets a function to call for each message of the topic until the
	// returned stop is called. The function must return quickly.
	Follow(ctx context.Context, topic string, fn func(payload []byte)) (stop func(), err error)
}
