package live_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// TestSnapshotsAreLimited: a page costs more to make than to ask for.
func TestSnapshotsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{MessageRate: 2, MessageBurst: 5})
		v := view(t, n, counting{}, counter{}, counterHTML)
		b := livetest.NewBrowser(t)
		tab := rawResume(t, b, v, dataOf(b.Load(v, "/").HTML()).Token)
		for range 30 {
			tab.send(`{"q":1}`)
			time.Sleep(100 * time.Millisecond)
		}
		asked := tab.snapshots()
		if most := 1 + 5 + 6 + 1; asked < 6 || asked > most {
			t.Errorf("%d snapshots for 30 requests in 3 seconds, want at most %d: the first frame's, 5 at once and 2 a second", asked, most)
		}
		time.Sleep(10 * time.Second)
		tab.send(`{"q":1}`)
		time.Sleep(time.Second)
		if again := tab.snapshots(); again != asked+1 {
			t.Errorf("%d snapshots after one more request, want %d", again, asked+1)
		}
	})
}

// TestConfirmationOfAFrameThatWasNotSent confirms nothing.
func TestConfirmationOfAFrameThatWasNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		c := newListing()
		v := view(t, n, c, list{}, listHTML)
		b := livetest.NewBrowser(t)
		tab := rawResume(t, b, v, dataOf(b.Load(v, "/").HTML()).Token)
		trigger(t, sessionOf(t, n, b), "Put", put("a"))
		time.Sleep(time.Second)
		tab.send(`{"k":4096}`)
		if got := tab.fates(); got != "invalid 0" {
			t.Errorf("told %q, want that it is invalid", got)
		}
		tab.lose()
		if got := b.Open(v, "/").Text(); !strings.Contains(got, "count=0 a") {
			t.Errorf("the page shows %q, want the push that no page has confirmed", got)
		}
	})
}

// snapshots counts the frames with a whole page.
func (r *rawTab) snapshots() int {
	n := 0
	for _, f := range r.all() {
		if f.Snapshot != nil {
			n++
		}
	}
	return n
}

// sender sends the browser wherever it is told to.
type sender struct{ errs map[string]error }

func (c *sender) Go(s plain, ctx *live.Context) (plain, error) {
	to := ctx.GetString("to")
	c.errs["Navigate"], c.errs["Redirect"] = ctx.Navigate(to), nil
	return s, nil
}

func (c *sender) Away(s plain, ctx *live.Context) (plain, error) {
	c.errs["Redirect"], c.errs["Navigate"] = ctx.Redirect(ctx.GetString("to")), nil
	return s, nil
}

// TestWhereABrowserCanBeSent: what a program passes on unchecked leads to no
// script, to no other site by Navigate, and into no header.
func TestWhereABrowserCanBeSent(t *testing.T) {
	t.Parallel()
	for address, can := range map[string]struct{ navigate, redirect bool }{
		"/there":                         {true, true},
		"?n=1":                           {true, true},
		"https://friend.test/":           {false, true},
		"//evil.test/":                   {},
		`/\evil.test/`:                   {},
		`\\evil.test/`:                   {},
		"/\t/evil.test/":                 {},
		"\t//evil.test/":                 {},
		" https://evil.test/":            {},
		"https:/evil.test/":              {},
		"https:evil.test":                {},
		"https:///evil.test":             {},
		"javascript:alert(1)":            {},
		"JaVaScRiPt://x/%0aalert(1)":     {},
		"java\tscript:alert(1)":          {},
		"data:text/html,<script>":        {},
		"vbscript:x":                     {},
		"blob:https://live.test/x":       {},
		"/there\r\nSet-Cookie: a=b":      {},
		"https://x.test/\r\nLocation: /": {},
		"evil.test":                      {},
		"":                               {},
	} {
		for action, want := range map[string]bool{"Go": can.navigate, "Away": can.redirect} {
			t.Run(action+" "+address, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := &sender{errs: map[string]error{}}
					v := view(t, startNode(t, memStore(t), live.Config{}), c, plain{}, `{{.N}}`)
					body := strings.NewReader("live-action=" + action + "&to=" + escapeForm(address))
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://live.test/", body)
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					res, _ := livetest.NewBrowser(t).Do(v, r) //nolint:bodyclose // Do closes it
					got := errors.Join(c.errs["Navigate"], c.errs["Redirect"])
					if (got == nil) != want || got != nil && !errors.Is(got, live.ErrNavigate) {
						t.Errorf("%s: %v", action, got)
					}
					leads := "/"
					if want {
						leads = "/" + strings.TrimPrefix(address, "/")
					}
					if action == "Away" && strings.HasPrefix(address, "https://friend") {
						leads = address
					}
					if to := res.Header["Location"]; len(to) != 1 || to[0] != leads {
						t.Errorf("the form leads to %q, want %q", to, leads)
					}
				})
			})
		}
	}
}

func escapeForm(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// TestAssetsAreTheirOwnNames: no path leads out of what a page has.
func TestAssetsAreTheirOwnNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view(t, startNode(t, memStore(t), live.Config{}), counting{}, counter{}, counterHTML)
		for _, name := range []string{
			"../go.mod", "..%2f..%2fetc/passwd", "/etc/passwd", "dist/live.min.js", "manifest.../x.json", "manifest.*.json", "%00", "client.js%00", "x",
		} {
			if d := livetest.NewBrowser(t).Peek(v, "/?_live="+name); d.Status != http.StatusNotFound {
				t.Errorf("%s: status %d, want 404", name, d.Status)
			}
		}
	})
}

// TestCookiesWithoutMeasure: what is no cookie of ours costs a new one at most.
func TestCookiesWithoutMeasure(t *testing.T) {
	t.Parallel()
	hub := newHub(t)
	session, set := asked(t, hub, "http://live.test/", "")
	good := set[0]
	for name, header := range map[string]string{
		"long":              good.Name + "=" + strings.Repeat("A", 60<<10),
		"many":              strings.Repeat(good.Name+"=x; ", 4<<10),
		"long signature":    good.Name + "=" + good.Value + strings.Repeat("A", 60<<10),
		"many before it":    strings.Repeat(good.Name+"=x; ", 1<<10) + good.String(),
		"another's flashes": "lastmile_flash=" + strings.Repeat("A", 60<<10) + "; " + good.String(),
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://live.test/", nil)
		r.Header.Set("Cookie", header)
		w := httptest.NewRecorder()
		s, err := hub.SessionOf(w, r)
		if err != nil {
			t.Fatal(err)
		}
		own := strings.Contains(header, good.Name+"="+good.Value+";") || strings.HasSuffix(header, good.String())
		if (s.ID() == session) != own || len(w.Result().Cookies()) == 1 == own {
			t.Errorf("%s: the session is the good one's: %v, and %d cookies are set", name, s.ID() == session, len(w.Result().Cookies()))
		}
	}
}

// TestMessagesOfARedirectFitACookie: more than browsers keep would lose the
// session's cookie with it.
func TestMessagesOfARedirectFitACookie(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view(t, startNode(t, memStore(t), live.Config{}), talker{}, plain{}, `{{.N}}`)
		for name, data := range map[string]string{"many": "n=400&text=hello", "long": "n=1&text=" + strings.Repeat("x", 9000)} {
			b := livetest.NewBrowser(t)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://live.test/", strings.NewReader("live-action=Talk&"+data))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, _ := b.Do(v, r) //nolint:bodyclose // Do closes it
			if got := b.Get(v, "/").HTML; name == "long" && !strings.Contains(got, strings.Repeat("x", 200)+"…") || name == "many" && strings.Count(got, "hello") != 16 {
				t.Errorf("%s: the next page shows %s", name, got)
			}
			for _, c := range res.Header["Set-Cookie"] {
				if len(c) > 4096 {
					t.Errorf("%s: a cookie of %d bytes", name, len(c))
				}
			}
			if res.StatusCode != http.StatusSeeOther {
				t.Errorf("%s: status %d", name, res.StatusCode)
			}
		}
	})
}

type talker struct{}

func (talker) Talk(s plain, ctx *live.Context) (plain, error) {
	for range ctx.GetInt("n") {
		ctx.SetFlash("info", ctx.GetString("text"))
	}
	return s, nil
}
