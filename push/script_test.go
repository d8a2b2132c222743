package push_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/push"
)

// scripter is a store with scripts, at one place.
type scripter struct {
	appender
	place string
}

func (s *scripter) Script(_ context.Context, at any, m push.Message) (push.Script, error) {
	if at != s.place {
		return push.Script{}, push.ErrApart
	}
	return push.Script{Body: "body", Keys: []string{m.Session}, Args: []any{m.ID}}, nil
}

func (*scripter) Scripted(m push.Message, reply any) (push.Receipt, error) {
	switch reply {
	case "stored":
		return push.Receipt{ID: m.ID, Seq: 7, Nodes: 1}, nil
	case "full":
		return push.Receipt{}, push.ErrMailboxFull
	default:
		return push.Receipt{}, errors.New("what?")
	}
}

func TestPublishWithin(t *testing.T) {
	t.Parallel()
	m := push.Message{ID: "id", Session: "s", Action: "Done", Data: []byte(`{"a":1}`)}
	lost := errors.New("lost")
	for _, tt := range []struct {
		name    string
		store   push.Appender
		at      string
		message push.Message
		reply   string
		err     error // of the script
		want    error
		ran     int
		counted string
	}{
		{name: "stored", store: &scripter{place: "here"}, at: "here", message: m, reply: "stored", ran: 1, counted: "live"},
		{name: "refused", store: &scripter{place: "here"}, at: "here", message: m, reply: "full", want: push.ErrMailboxFull, ran: 1, counted: "full"},
		{name: "fate unknown", store: &scripter{place: "here"}, at: "here", message: m, err: lost, want: lost, ran: 1, counted: "error"},
		{name: "the script has no use for it", store: &scripter{place: "here"}, at: "here", message: m, err: push.ErrApart, want: push.ErrApart, ran: 1},
		{name: "elsewhere", store: &scripter{place: "here"}, at: "there", message: m, want: push.ErrApart},
		{name: "no scripts", store: &appender{}, at: "here", message: m, want: push.ErrApart},
		{name: "invalid", store: &scripter{place: "here"}, at: "here", message: push.Message{ID: "id", Session: "s"}, want: push.ErrInvalid, counted: "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			p := newPublisher(t, tt.store, push.PublisherConfig{Registerer: reg})
			ran := 0
			r, err := p.PublishWithin(t.Context(), tt.at, tt.message, func(_ context.Context, s push.Script) (any, error) {
				ran++
				if s.Body != "body" || s.Keys[0] != "s" || s.Args[0] != "id" {
					t.Errorf("script %+v", s)
				}
				return tt.reply, tt.err
			})
			if !errors.Is(err, tt.want) || ran != tt.ran {
				t.Errorf("ran %d times, %v; want %d, %v", ran, err, tt.ran, tt.want)
			}
			if err == nil && (r.ID != "id" || r.Seq != 7) {
				t.Errorf("receipt %+v", r)
			}
			want := ""
			if tt.counted != "" {
				want = "# HELP push_published_total Pushes by what became of them: live (a node was woken), parked, duplicate, superseded, full, closed, behind, invalid, error.\n" +
					"# TYPE push_published_total counter\npush_published_total{result=\"" + tt.counted + "\"} 1\n"
			}
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "push_published_total"); err != nil {
				t.Error(err)
			}
		})
	}
}
