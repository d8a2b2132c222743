package push

import "errors"

var (
	// ErrMailboxFull means that the session's mailbox holds as many
	// undelivered pushes as its bound allows. The push was not stored. Retry
	// later, or give up: nothing that waits is ever dropped for a newer one.
	ErrMailboxFull = errors.New("push: mailbox full")

	// ErrSessionClosed means that the session was closed (signed out, or
	// removed by an operator). The push was not stored; repeating it cannot
	// help. The mark lives for the age bound of pushes and a day, 8 days by
	// default: after that the ID is one that nobody has used.
	ErrSessionClosed = errors.New("push: session closed")

	// ErrReplicasBehind means that the replicas have not confirmed as much as
	// PublisherConfig.ReplayBytes, and did not catch up in time. The push was
	// not stored. Retry later.
	ErrReplicasBehind = errors.New("push: replicas are behind")

	// ErrTooLarge means that a push's data exceeds its bound. Store large
	// data elsewhere and push a reference.
	ErrTooLarge = errors.New("push: too large")

	// ErrInvalid means that a push names no session or action, or that a name
	// or the data breaks its form or bound. Repeating it cannot help.
	ErrInvalid = errors.New("push: invalid")

	// ErrDenied means that the store refuses an operation and will go on to, until
	// somebody changes its set-up: a permission is missing, a command is not
	// known, a key is of another type. A publisher does not repeat it. What of the
	// push is stored is not known; publishing again with the same ID is safe once
	// the operation works.
	ErrDenied = errors.New("push: the store denies it")

	// ErrReject, wrapped by an action's error, says that no retry can help:
	// the push goes to the dead letters at once.
	ErrReject = errors.New("push: rejected")

	// ErrCursorTooOld means that pushes after the cursor were applied by
	// another connection and have left the mailbox since: the connection
	// cannot resume and mounts anew.
	ErrCursorTooOld = errors.New("push: cursor too old")

	// ErrDecode means that a stored entry cannot be read.
	ErrDecode = errors.New("push: cannot decode entry")

	// ErrVersion means that a stored entry was written by a newer version
	// than this program understands.
	ErrVersion = errors.New("push: entry version not supported")

	// ErrNoState means that the store holds no record of that name: it never
	// existed, or its lifetime has passed.
	ErrNoState = errors.New("push: no such state")

	// ErrFenced means that another node has taken the connection over since:
	// this one must stop using it and must not send what it could not commit.
	ErrFenced = errors.New("push: connection taken over by another node")

	// ErrStateConflict means that the view's shared state changed since it
	// was loaded; the current record comes with the error's CommitResult.
	ErrStateConflict = errors.New("push: view state changed")

	// ErrNotFound means that there is no such dead letter.
	ErrNotFound = errors.New("push: dead letter not found")
)
