package live_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

func TestLimitsNameFieldAndBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{MaxMessageBytes: 1000, MessageRate: 2, MessageBurst: 5, MaxStateBytes: 2000, MaxSessionConns: 2})
		v := viewWith(t, n, newListing(), list{}, listHTML, live.ViewConfig{PushOnly: []string{"Tally"}})
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		for _, tt := range []struct {
			action string
			data   map[string]any
			code   string
			text   string
		}{
			{"Rename", map[string]any{"title": strings.Repeat("x", 1500)}, "too_large", "at most 1000"},
			{strings.Repeat("X", 200), nil, "invalid", `field "a" has 200 bytes, at most 128`},
			{"Nope", nil, "unknown_action", `"Nope"`},
			{"Mount", nil, "unknown_action", `"Mount"`},
			{"Tally", nil, "unknown_action", `"Tally"`},
		} {
			p.Send(tt.action, tt.data)
			p.Wait(tt.code, func() bool {
				errs := p.State().Errors
				return len(errs) > 0 && errs[len(errs)-1].Code == tt.code && strings.Contains(errs[len(errs)-1].Message, tt.text)
			})
			time.Sleep(3 * time.Second)
		}
		var last *livetest.Error
		for range 8 {
			last = p.Try("Rename", map[string]any{"title": "x"})
		}
		if last == nil || last.Code != "rate_limited" || !strings.Contains(last.Message, "2 actions a second (5 at once)") {
			t.Errorf("too many actions: got %v", last)
		}
		time.Sleep(5 * time.Second)
		for i := range 5 { // the state must not grow without bound
			last = p.Try("Put", put(strings.Repeat("y", 600)))
			if i < 2 && last != nil {
				t.Errorf("Put %d: %v", i, last)
			}
			time.Sleep(time.Second)
		}
		if last == nil || last.Code != "error" {
			t.Errorf("a state over its bound: got %v", last)
		}
		b.Open(v, "/")
		p3 := b.Load(v, "/")
		if err := p3.TryConnect(v); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("a third connection of the session: got %v, want 503", err)
		}
	})
}

func TestFloodIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		p := livetest.Open(t, v, "/")
		for range 1000 {
			p.Send("Add", nil)
		}
		if code := p.WaitClosed(); code != 1008 {
			t.Errorf("closed with %d, want 1008", code)
		}
	})
}

func TestForeignOriginIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{AllowedOrigins: []string{"https://friend.test"}})
		v := view(t, n, counting{}, counter{}, counterHTML)
		synctest.Wait()
		for origin, want := range map[string]int{"https://evil.test": 403, "https://friend.test": 101, "http://live.test": 101, "null": 403} {
			if got := dialFrom(t, v, origin); got != want {
				t.Errorf("origin %s: status %d, want %d", origin, got, want)
			}
		}
	})
}

func TestTokensAreBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		n := startNode(t, s, live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		other := viewNamed(t, n, "other", counting{}, counter{}, counterHTML)
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		p.Click("Add", nil)
		doc := b.Peek(v, "/")
		if id := sessionOf(t, n, b).ID(); strings.Contains(doc.HTML, id) || strings.Contains(p.HTML(), id) {
			t.Error("the session's ID is in the page")
		}
		// Another session, and another view, cannot use the token.
		stolen := dataOf(doc.HTML).Token
		if !remounts(t, livetest.NewBrowser(t), v, stolen) {
			t.Error("the token is taken in another session")
		}
		if !remounts(t, b, other, stolen) {
			t.Error("the token is taken in another view")
		}
		if remounts(t, b, v, stolen) {
			t.Error("the token is not taken where it belongs")
		}
		if r := b.Peek(v, "/?_live=ack&t=abc"); r.Status != http.StatusForbidden {
			t.Errorf("a forged acknowledgement: status %d", r.Status)
		}
	})
}
