package jobstest

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/script"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// Push is one push that a session was sent.
type Push struct {
	push.Message
	// Event is the job event that it carries.
	Event jobs.Event
}

// Bind decodes the push's data, as an action's context would.
func (p Push) Bind(v any) error { return json.Unmarshal(p.Data, v) }

// mailboxLen is beyond what a test sends one session that nobody reads for.
const mailboxLen = 10_000

// mailbox remembers what was stored by way of its entrances, and reads what was
// stored without anybody hearing of it.
type mailbox struct {
	store *redisstream.Transport

	mu     sync.Mutex
	pushes map[string][]stored
	before func(push.Message) error
	after  func(push.Message)
}

type stored struct {
	seq push.Seq
	m   push.Message
}

func transport(rdb redis.UniversalClient, log *slog.Logger) (*redisstream.Transport, error) {
	return redisstream.New(rdb, redisstream.Config{MailboxLen: mailboxLen, Logger: log})
}

func newMailbox(rdb redis.UniversalClient, log *slog.Logger) (*mailbox, error) {
	t, err := transport(rdb, log)
	return &mailbox{store: t, pushes: make(map[string][]stored)}, err
}

// publisher returns a publisher whose pushes take the way of rdb.
func (b *mailbox) publisher(rdb redis.UniversalClient, log *slog.Logger) (*push.Publisher, error) {
	t, err := transport(rdb, log)
	if err != nil {
		return nil, err
	}
	return push.NewPublisher(entrance{b, t}, push.PublisherConfig{Logger: log})
}

func (b *mailbox) hooks() (before func(push.Message) error, after func(push.Message)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.before, b.after
}

func (b *mailbox) note(m push.Message, r push.Receipt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.pushes[m.Session], func(s stored) bool { return s.m.ID == m.ID }) {
		b.pushes[m.Session] = append(b.pushes[m.Session], stored{r.Seq, m})
	}
}

// list returns the session's pushes in order.
func (b *mailbox) list(ctx context.Context, session string) ([]Push, error) {
	back, err := b.store.Pending(ctx, session, 0)
	if err != nil {
		return nil, err
	}
	for _, e := range back.Entries {
		b.note(e.Message, push.Receipt{Seq: e.Seq})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.pushes[session]
	slices.SortStableFunc(all, func(a, b stored) int { return cmp.Compare(a.seq, b.seq) })
	out := make([]Push, len(all))
	for i, s := range all {
		out[i].Message = s.m
		out[i].Event, _ = jobs.EventOf(out[i]) // stays zero for a push that is no job's
	}
	return out, nil
}

// entrance is one process's way to the mailbox.
type entrance struct {
	box *mailbox
	*redisstream.Transport
}

// Append implements push.Appender.
func (e entrance) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	before, after := e.box.hooks()
	if before != nil {
		if err := before(m); err != nil {
			return push.Receipt{}, err
		}
	}
	r, err := e.Transport.Append(ctx, m)
	return e.done(m, r, err, after)
}

// ScriptAppend implements script.Store.
func (e entrance) ScriptAppend(ctx context.Context, client redis.UniversalClient, m push.Message) (script.Append, error) {
	before, after := e.box.hooks()
	if before != nil {
		if err := before(m); err != nil {
			return script.Append{}, err
		}
	}
	part, err := e.Transport.ScriptAppend(ctx, client, m)
	if err != nil {
		return part, err
	}
	read := part.Read
	part.Read = func(reply any) (push.Receipt, error) {
		r, err := read(reply)
		return e.done(m, r, err, after)
	}
	return part, nil
}

func (e entrance) done(m push.Message, r push.Receipt, err error, after func(push.Message)) (push.Receipt, error) {
	if err != nil {
		return r, err
	}
	if !r.Superseded {
		e.box.note(m, r)
	}
	if after != nil {
		after(m)
	}
	return r, nil
}
