package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

var poisonPushes = flag.Int("poison", 2000, "pushes of TestPoisonStaysInItsSessions; a multiple of 2,000")

// TestPoisonStaysInItsSessions mixes pushes that always fail into many: one in a
// hundred, all in every tenth session. Each goes to the dead letters for its
// reason, after as many tries as the others. Whatever else there is is applied
// once and in order, and at once where there is no poison before it. A replay
// of what has been mended meanwhile applies each once.
func TestPoisonStaysInItsSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		n := startNode(t, s, live.Config{Heartbeat: time.Hour}) // these pages are silent when nothing happens
		c := &taster{started: map[string]int{}, applied: map[int]int{}}
		v := view(t, n, c, tasted{}, `<p>{{.N}}</p>`)
		var pages []*livetest.Page
		var sessions []push.Session
		for range *poisonPushes / 100 {
			b := livetest.NewBrowser(t)
			pages = append(pages, b.Open(v, "/"))
			sessions = append(sessions, sessionOf(t, n, b))
		}
		for i := range 100 {
			for number, session := range sessions {
				trigger(t, session, "Taste", map[string]any{
					"session": number, "number": i, "kind": kindOf(number, i), "sent": time.Now().UnixMicro(),
				})
			}
			time.Sleep(10 * time.Millisecond)
		}
		for range 90 { // a push that hangs takes eight times its limit
			time.Sleep(10 * time.Second)
		}
		c.check(t, *poisonPushes/100, 0)
		letters := c.checkLetters(t, s)

		c.cure()
		for _, l := range letters {
			if _, err := s.Replay(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		c.check(t, *poisonPushes/100, 10)
		for number, p := range pages {
			if got := p.TextOf("p"); got != "100" {
				t.Errorf("session %d shows %s pushes, want 100", number, got)
			}
		}
		if left, err := s.Count(t.Context()); err != nil || left != 0 {
			t.Errorf("%d dead letters after the replays, %v", left, err)
		}
		t.Logf("report: %d pushes in %d sessions, %d poison: each in the dead letters, the others once and in order, at most %v late without poison before them; each replay once",
			*poisonPushes, len(pages), len(letters), c.slowest)
	})
}

// kindOf returns the kind of a push: in every tenth session each tenth is
// poison.
func kindOf(session, number int) string {
	if session%10 != 3 || number%10 != 5 {
		return ""
	}
	return []string{"error", "panic", "timeout"}[(session/10+number/10)%3]
}

// tasted counts the pushes that were applied.
type tasted struct{ N int }

// taster notes what it gets.
type taster struct {
	mu      sync.Mutex
	cured   bool
	started map[string]int // poison, by push ID
	applied map[int]int    // by session: how far it has got, and one more for each replay
	slowest time.Duration  // in a session without poison
	wrong   []string
}

func (c *taster) Taste(s tasted, ctx *live.Context) (tasted, error) {
	s.N++
	c.mu.Lock()
	cured, kind := c.cured, ctx.GetString("kind")
	c.note(ctx, kind)
	c.mu.Unlock()
	switch {
	case cured || kind == "":
		return s, nil
	case kind == "panic":
		panic("boom")
	case kind == "timeout":
		<-ctx.Done()
		return s, context.Cause(ctx)
	}
	return s, errors.New("never")
}

// note checks the order of what is applied. The caller holds the lock.
func (c *taster) note(ctx *live.Context, kind string) {
	session, number := ctx.GetInt("session"), ctx.GetInt("number")
	switch {
	case c.cured:
		c.applied[session]++
	case kind != "":
		c.started[ctx.PushID()]++
	default:
		next := c.applied[session]
		if kindOf(session, next) != "" {
			next++
		}
		if number != next {
			c.wrong = append(c.wrong, fmt.Sprintf("session %d: push %d, want %d", session, number, next))
		}
		c.applied[session] = number + 1
		if session%10 != 3 {
			c.slowest = max(c.slowest, time.Since(time.UnixMicro(int64(ctx.GetInt("sent")))))
		}
	}
}

func (c *taster) cure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cured = true
}

// check requires all pushes of each session, and the replays.
func (c *taster) check(t *testing.T, sessions, replays int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wrong {
		t.Error(w)
	}
	for session := range sessions {
		want := 100
		if session%10 == 3 {
			want += replays
		}
		if got := c.applied[session]; got != want {
			t.Errorf("session %d got to %d, want %d", session, got, want)
		}
	}
	if c.slowest > 100*time.Millisecond {
		t.Errorf("a push without poison before it was %v late", c.slowest)
	}
}

// checkLetters requires every poison push in the dead letters.
func (c *taster) checkLetters(t *testing.T, s store) []push.DeadLetter {
	t.Helper()
	var all []push.DeadLetter
	for q := (push.DeadQuery{Limit: 1000}); ; q.After = all[len(all)-1].ID {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < q.Limit {
			break
		}
	}
	if want := *poisonPushes / 100; len(all) != want || len(c.started) != want {
		t.Errorf("%d dead letters of %d poison pushes, want %d of each", len(all), len(c.started), want)
	}
	for _, l := range all {
		var data struct{ Kind string }
		if err := json.Unmarshal(l.Entry.Data, &data); err != nil {
			t.Fatal(err)
		}
		if string(l.Reason) != data.Kind || l.Attempts != 8 || c.started[l.Entry.ID] != 8 {
			t.Errorf("a push of kind %s: %s after %d attempts, %d seen; want 8", data.Kind, l.Reason, l.Attempts, c.started[l.Entry.ID])
		}
	}
	return all
}
