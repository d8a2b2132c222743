package push

import "context"

// Session addresses one session. Get one from [Publisher.Session] in any
// process, or from a live context inside an action; it may be kept and used
// later, from any goroutine.
type Session interface {
	// ID returns the session's ID. It is a secret of the server: never write
	// it into a page or, in full, into a log.
	ID() string

	// TriggerAction stores a push of the named action for every connection
	// of the session. It returns nil once the push is stored, waiting at most
	// PublisherConfig.Timeout. data must marshal to JSON and is copied.
	TriggerAction(action string, data map[string]any) error

	// Trigger is TriggerAction with a context, any data that marshals to a
	// JSON object, options, and a receipt.
	Trigger(ctx context.Context, action string, data any, opts ...Option) (Receipt, error)
}

// Option changes one push.
type Option func(*Message)

// WithID sets the push ID, which makes repeating the call safe.
func WithID(id string) Option { return func(m *Message) { m.ID = id } }

// Replacing makes the push take the place of an unacknowledged earlier one
// with the same key: latest wins. After the key's last push (Ending) it is not
// stored, without an error: the receipt says Superseded.
func Replacing(key string) Option { return func(m *Message) { m.Replaces = key } }

// Ending is Replacing for the last push of its key. Another beginning takes
// another key.
func Ending(key string) Option {
	return func(m *Message) { m.Replaces, m.Final = key, true }
}
