package pushhttp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// TestForeignCursorsAreWorthNothing: neither a forged one nor one of another
// session, filter, store or secret moves anything, or shows anything that its
// bearer could not read without it.
func TestForeignCursorsAreWorthNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		stranger := inMemory(t, mempush.Config{}, pushhttp.Config{Secrets: [][]byte{[]byte("another secret of at least 32 bytes")}})
		s.push(alice, "Did", 1, 2)
		s.push(bob, "Did", 3)
		mine := s.poll(alice, "?wait=0").Next
		parts := strings.Split(mine, ".")
		forged := slices.Clone(parts)
		forged[1] = "9007199254740991"
		for name, id := range map[string]string{
			"empty parts": "..", "no tag": parts[0] + "." + parts[1], "far": strings.Join(forged, "."),
			"with a base":     mine + ".9007199254740991",
			"cut tag":         mine[:len(mine)-1],
			"other epoch":     "x" + mine,
			"of bob":          s.poll(bob, "?wait=0").Next,
			"other filter":    s.poll(alice, "?wait=0&actions=Did").Next,
			"other secret":    stranger.poll(alice, "?wait=0").Next,
			"line break":      "a%0Ab.1.c",
			"negative number": parts[0] + ".-1." + parts[2],
		} {
			if p := s.poll(alice, "?wait=0&after="+id); p.numbers() != "reset 1 2" {
				t.Errorf("%s: %s", name, p.numbers())
			}
			if a := s.answer(call{method: http.MethodPost, path: "ack", session: alice, body: `{"upTo":"` + strings.ReplaceAll(id, "%0A", "") + `"}`}); a.status != http.StatusBadRequest {
				t.Errorf("%s: ack %d %s", name, a.status, a.body)
			}
		}
		if got := s.pending(alice) + " / " + s.pending(bob); got != "1 2 / 3" {
			t.Errorf("pending: %s", got)
		}
		s.push(alice, "Did", 4) // its number was not lifted
		if got := s.poll(alice, "?after="+mine).numbers(); got != "4" {
			t.Errorf("behind the own cursor: %s", got)
		}
	})
}

// TestSecretsRotate: what an old one has signed is accepted while it is listed.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, err := mempush.New(mempush.Config{})
		if err != nil {
			t.Fatal(err)
		}
		newer := []byte("another secret of at least 32 bytes")
		before := newSite(t, store, pushhttp.Config{})
		between := newSite(t, store, pushhttp.Config{Secrets: [][]byte{newer, secret}})
		behind := newSite(t, store, pushhttp.Config{Secrets: [][]byte{newer}})
		before.push(alice, "Did", 1)
		id := before.poll(alice, "").Next
		token, err := before.handler.Token(alice, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		header := map[string]string{"Authorization": "Bearer " + token, "Accept": jsonAccept}
		p := between.poll(alice, "?wait=0&after="+id)
		if p.Reset || between.answer(call{method: "GET", path: "events?wait=0", header: header}).status != http.StatusOK {
			t.Error("what the former secret signed is refused")
		}
		if behind.poll(alice, "?wait=0&after="+p.Next).Reset {
			t.Error("what the new secret signed is refused")
		}
		if !behind.poll(alice, "?wait=0&after="+id).Reset || behind.answer(call{method: "GET", path: "events?wait=0", header: header}).status != http.StatusUnauthorized {
			t.Error("what a secret signed that is gone is accepted")
		}
	})
}

// TestEmptiedStore: a cursor of the old one means nothing.
func TestEmptiedStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, err := mempush.New(mempush.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := newSite(t, store, pushhttp.Config{})
		st := s.listen(alice, "events", nil)
		s.push(alice, "Did", 1)
		synctest.Wait()
		store.Flush()
		s.push(alice, "Did", 2)
		time.Sleep(time.Minute)
		<-st.ended // it is told by coming back
		again := s.listen(alice, "events", map[string]string{"Last-Event-ID": st.last()})
		synctest.Wait()
		if got := again.numbers(); got != "reset 2" {
			t.Errorf("behind the old cursor: %s", got)
		}
		if a := s.answer(call{method: http.MethodPost, path: "ack", session: alice, body: `{"upTo":"` + st.last() + `"}`}); a.status != http.StatusConflict {
			t.Errorf("ack: %d %s", a.status, a.body)
		}
	})
}

// TestCursorWithThePage: what waited when the page was made is in its data, what
// came since is not missed.
func TestCursorWithThePage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		s.push(alice, "Did", 1)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.handler.Cursor(nil, r, "Did"); err == nil {
			t.Error("a cursor for nobody")
		}
		r.Header.Set("X-Session", alice)
		id, err := s.handler.Cursor(nil, r, "Did")
		if err != nil {
			t.Fatal(err)
		}
		s.push(alice, "Did", 2)
		if got := s.poll(alice, "?actions=Did&after="+id).numbers() + " / " + s.pending(alice); got != "2 / 2" {
			t.Errorf("seen / pending: %s", got)
		}
	})
}

// FuzzForged: no cursor but those that were given out for it moves a reader's
// place or takes something from its mailbox, and nothing but a token opens a
// session.
func FuzzForged(f *testing.F) {
	f.Add("", "")
	f.Add("a.1.b", "1")
	f.Add("a.1.b.2", "9007199254740991")
	f.Add(".0.AAAAAAAAAAAAAAAA", "0")
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		f.Fatal(err)
	}
	node, err := push.NewNode(store, push.NodeConfig{Logger: quiet})
	if err != nil {
		f.Fatal(err)
	}
	h, err := pushhttp.New(pushhttp.Deps{Node: node}, pushhttp.Config{Secrets: [][]byte{secret}, Logger: quiet, Authenticator: func(_ http.ResponseWriter, r *http.Request) (string, error) {
		return r.Header.Get("X-Session"), nil
	}})
	if err != nil {
		f.Fatal(err)
	}
	for _, session := range []string{alice, bob} {
		if _, err := store.Append(f.Context(), push.Message{ID: push.NewID(), Session: session, Action: "Did", Data: []byte(`{"n":1}`)}); err != nil {
			f.Fatal(err)
		}
	}
	token, err := h.Token(alice, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	own, foreign := direct(f, h, alice, ""), direct(f, h, bob, "")
	f.Fuzz(func(t *testing.T, text, number string) {
		parts := strings.Split(foreign.Next, ".")
		parts[1] = number
		for _, id := range []string{text, foreign.Next, foreign.Next + text, own.Next + text, strings.Join(parts, "."), text + "." + own.Next} {
			if id == own.Next || id == "" {
				continue
			}
			if p := direct(t, h, alice, id); !p.Reset || p.numbers() != "reset 1" {
				t.Errorf("cursor %q: %s", id, p.numbers())
			}
			if direct(t, h, bob, foreign.Next).Reset {
				t.Error("the other session's own cursor is refused")
			}
		}
		for _, bearer := range []string{text, token + text, text + token, token[:len(token)-1] + text} {
			bare := strings.Join(strings.Fields(bearer), "") // space around it does not make it another
			if bare != token && directStatus(t, h, bearer) == http.StatusOK {
				t.Errorf("token %q opens a session", bearer)
			}
		}
	})
}
