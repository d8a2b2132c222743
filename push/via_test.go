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

// TestPublishVia: the caller stores a push by itself. One that it has stored is
// counted; of any other Publish will tell.
func TestPublishVia(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	m := push.Message{Session: "s", Action: "Done", Data: []byte(`{"a":1}`)}
	for _, c := range []struct {
		name    string
		message push.Message
		err     error
		want    error
		ran     int
		counted string
	}{
		{name: "stored", message: m, ran: 1, counted: "live"},
		{name: "refused", message: m, err: push.ErrMailboxFull, want: push.ErrMailboxFull, ran: 1},
		{name: "fate unknown", message: m, err: lost, want: lost, ran: 1},
		{name: "invalid", message: push.Message{Session: "s"}, want: push.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg, store := prometheus.NewRegistry(), &appender{}
			p := newPublisher(t, store, push.PublisherConfig{Registerer: reg})
			ran := 0
			r, err := p.PublishVia(t.Context(), c.message, func(_ context.Context, a push.Appender, m push.Message) (push.Receipt, error) {
				ran++
				if a != push.Appender(store) || m.ID == "" {
					t.Errorf("asked to store %+v at %v", m, a)
				}
				return push.Receipt{Seq: 7, Nodes: 1}, c.err
			})
			if !errors.Is(err, c.want) || ran != c.ran || r.ID == "" {
				t.Errorf("ran %d times, %+v, %v; want %d, %v", ran, r, err, c.ran, c.want)
			}
			want := ""
			if c.counted != "" {
				want = "# HELP push_published_total Pushes by what became of them: live (a node was woken), parked, duplicate, superseded, full, closed, behind, invalid, error.\n" +
					"# TYPE push_published_total counter\npush_published_total{result=\"" + c.counted + "\"} 1\n"
			}
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "push_published_total"); err != nil {
				t.Error(err)
			}
		})
	}
}
