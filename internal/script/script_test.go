package script_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/script"
	"lastmile/push"
)

// plain is a store without scripts.
type plain struct{}

func (plain) Append(context.Context, push.Message) (push.Receipt, error) {
	return push.Receipt{}, errors.New("nobody appends")
}

// scripted is a store with scripts, on one client.
type scripted struct {
	plain
	client redis.UniversalClient
}

func (s scripted) ScriptAppend(_ context.Context, client redis.UniversalClient, m push.Message) (script.Append, error) {
	if client != s.client {
		return script.Append{}, script.ErrApart
	}
	read := func(reply any) (push.Receipt, error) {
		switch reply {
		case "stored":
			return push.Receipt{Seq: 7, Nodes: 1}, nil
		case "full":
			return push.Receipt{}, push.ErrMailboxFull
		default:
			return push.Receipt{}, errors.New("what?")
		}
	}
	return script.Append{Body: "body", Keys: []string{m.Session}, Args: []any{m.ID}, Read: read}, nil
}

func TestPublish(t *testing.T) {
	t.Parallel()
	here, there := redis.NewClient(&redis.Options{}), redis.NewClient(&redis.Options{})
	t.Cleanup(func() { _ = errors.Join(here.Close(), there.Close()) })
	m := push.Message{ID: "id", Session: "s", Action: "Done", Data: []byte(`{"a":1}`)}
	lost := errors.New("lost")
	for _, c := range []struct {
		name    string
		store   push.Appender
		client  redis.UniversalClient
		message push.Message
		reply   string
		err     error // of the script
		want    error
		ran     int
	}{
		{name: "stored", store: scripted{client: here}, client: here, message: m, reply: "stored", ran: 1},
		{name: "refused", store: scripted{client: here}, client: here, message: m, reply: "full", want: push.ErrMailboxFull, ran: 1},
		{name: "fate unknown", store: scripted{client: here}, client: here, message: m, err: lost, want: lost, ran: 1},
		{name: "the script has no use for it", store: scripted{client: here}, client: here, message: m, err: script.ErrApart, want: script.ErrApart, ran: 1},
		{name: "elsewhere", store: scripted{client: here}, client: there, message: m, want: script.ErrApart},
		{name: "no scripts", store: plain{}, client: here, message: m, want: script.ErrApart},
		{name: "invalid", store: scripted{client: here}, client: here, message: push.Message{ID: "id", Session: "s"}, want: push.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := push.NewPublisher(c.store, push.PublisherConfig{})
			if err != nil {
				t.Fatal(err)
			}
			ran := 0
			r, err := script.Publish(t.Context(), p, c.client, c.message, func(_ context.Context, a script.Append) (any, error) {
				ran++
				if a.Body != "body" || a.Keys[0] != "s" || a.Args[0] != "id" {
					t.Errorf("part %+v", a)
				}
				return c.reply, c.err
			})
			if !errors.Is(err, c.want) || ran != c.ran {
				t.Errorf("ran %d times, %v; want %d, %v", ran, err, c.ran, c.want)
			}
			if err == nil && (r.ID != "id" || r.Seq != 7) {
				t.Errorf("receipt %+v", r)
			}
		})
	}
}
