package pushhttp_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// topical is a site whose readers may follow all topics but "secret".
func topical(t *testing.T) *site {
	t.Helper()
	return inMemory(t, mempush.Config{}, pushhttp.Config{Render: fragment, Topics: func(_, topic string) error {
		if topic == "secret" {
			return errors.New("not for readers")
		}
		return nil
	}})
}

// TestTopicsReachReaders: what is published by any process comes to the readers
// that are connected, in whichever form, beside their pushes.
func TestTopicsReachReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := topical(t)
		plain := s.listen(alice, "events?topics=stock,room", nil)
		filtered := s.listen(bob, "events?topics=stock&actions=Other", nil)
		html := s.listen(bob, "events?topics=stock&as=html", nil)
		none := s.listen(alice, "events", nil)
		synctest.Wait()
		publisher, err := push.NewPublisher(s.store, push.PublisherConfig{}) // of a process without a hub or a handler
		if err != nil {
			t.Fatal(err)
		}
		s.push(alice, "Did", 1)
		synctest.Wait()
		place := plain.last()
		for topic, n := range map[string]int{"stock": 2, "room": 3, "elsewhere": 4} {
			if err := publisher.PublishTopic(t.Context(), topic, "Did", map[string]int{"n": n}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := plain.numbers(); got != "1 2 3" && got != "1 3 2" {
			t.Errorf("the reader of two topics got %q", got)
		}
		if got := plain.last(); got != place {
			t.Errorf("a topic moved the reader's place to %q from %q", got, place)
		}
		if got := filtered.numbers(); got != "" {
			t.Errorf("the reader of another action got %q", got)
		}
		if got := none.numbers(); got != "1" {
			t.Errorf("the reader of no topic got %q", got)
		}
		found := false
		for _, b := range html.all() {
			found = found || strings.Contains(b.data, "2")
		}
		if !found {
			t.Errorf("the reader of fragments got %+v", html.all())
		}
		plain.close()
		html.close()
	})
}

func TestTopicsThatAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := topical(t)
		off := inMemory(t, mempush.Config{}, pushhttp.Config{})
		poll := map[string]string{"Accept": jsonAccept}
		for name, c := range map[string]struct {
			site *site
			path string
			head map[string]string
			want int
		}{
			"not allowed":  {s, "events?topics=stock,secret", nil, http.StatusForbidden},
			"none at all":  {off, "events?topics=stock", nil, http.StatusForbidden},
			"an inner one": {s, "events?topics=%01disconnect", nil, http.StatusBadRequest},
			"too many":     {s, "events?topics=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", nil, http.StatusBadRequest},
			"a poll":       {s, "events?topics=stock", poll, http.StatusBadRequest},
		} {
			if got := c.site.answer(call{method: http.MethodGet, path: c.path, session: alice, header: c.head}).status; got != c.want {
				t.Errorf("%s: status %d, want %d", name, got, c.want)
			}
		}
	})
}

// brokerOf returns the topics of a store that has some.
func brokerOf(store push.Transport) push.Broker {
	b, _ := store.(push.Broker)
	return b
}
