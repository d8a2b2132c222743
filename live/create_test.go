package live_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lastmile/live"
	"lastmile/push"
)

// mumblingStates makes connections' records, and does not say so for a while.
type mumblingStates struct {
	store
	mumbles atomic.Bool
}

func (m *mumblingStates) CreateConn(ctx context.Context, r push.ConnRecord, ttl time.Duration) error {
	err := m.store.CreateConn(ctx, r, ttl)
	if m.mumbles.Load() {
		return errAway
	}
	return err
}

// frames reads what a socket gets until it ends.
func frames(t *testing.T, ws *websocket.Conn) <-chan string {
	t.Helper()
	out := make(chan string, 64)
	ctx := t.Context()
	go func() {
		defer close(out)
		for {
			_, b, err := ws.Read(ctx)
			if err != nil {
				return
			}
			out <- string(b)
		}
	}()
	return out
}

// TestRecordOfAPageIsMadeOnce: a node whose making of a record was not
// answered makes it again. It must not do so when another node has taken the
// connection over meanwhile, and stored what it answered.
func TestRecordOfAPageIsMadeOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, states := e.t, &mumblingStates{store: e.store}
		states.mumbles.Store(true)
		one, two := startNode(t, states, live.Config{}), startNode(t, e.store, live.Config{})
		v1, v2 := view(t, one, newListing(), list{}, listHTML), view(t, two, newListing(), list{}, listHTML)
		b := e.browser()
		b.Get(v2, "/") // for the cookie

		first := frames(t, dialWith(t, b, v1, "", ""))
		time.Sleep(time.Second)
		var hello struct {
			Token string `json:"t"`
		}
		select {
		case f := <-first:
			if err := json.Unmarshal([]byte(f), &hello); err != nil {
				t.Fatal(err)
			}
		default: // without a record there is nothing to show
		}
		// The browser comes back elsewhere; the first node has not noticed.
		ws := dialWith(t, b, v2, hello.Token, "")
		second := frames(t, ws)
		click := func(message, answer string) {
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
				t.Fatal(err)
			}
			for f := range second {
				if strings.Contains(f, answer) {
					return
				}
			}
			t.Fatalf("no answer to %s: the first node has taken the connection back", message)
		}
		click(`{"a":"Rename","d":{"title":"kept"},"i":1}`, `"i":1`)
		states.mumbles.Store(false)
		time.Sleep(10 * time.Second)
		click(`{"a":"Tally","i":2}`, `"i":2`)
	})
}
