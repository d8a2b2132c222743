package live_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// patcher patches to whatever it is given.
type patcher struct{ err error }

func (c *patcher) Patch(s plain, ctx *live.Context) (plain, error) {
	c.err = ctx.PatchURL(ctx.GetString("to"))
	return s, nil
}

// movable is a patcher whose pages can go back.
type movable struct{ patcher }

func (*movable) OnURL(s plain, ctx *live.Context) (plain, error) {
	_, err := fmt.Sscan(ctx.Request().Query().Get("n"), &s.N)
	if err != nil {
		s.N = 0
	}
	return s, nil
}

// TestPatchURLTakesOnlyThePagesOwnAddresses: nobody can be sent elsewhere, and the
// error says why.
func TestPatchURLTakesOnlyThePagesOwnAddresses(t *testing.T) {
	t.Parallel()
	long := "?n=" + strings.Repeat("1", 2046)
	for address, want := range map[string]string{
		"?n=1":                       "",
		"/shop/list?n=1":             "",
		"?":                          "",
		"/shop/list":                 "",
		"?q=a b&n=\"":                "",
		long[:2048]:                  "",
		long:                         "address of 2049 bytes, at most 2048 are allowed",
		"":                           "not a path of this site",
		"n=1":                        "not a path of this site",
		"javascript:alert(1)":        "not a path of this site",
		"JAVASCRIPT:alert(1)?n=1":    "not a path of this site",
		"data:text/html,x":           "not a path of this site",
		"https://evil.test/list?n=1": "not a path of this site",
		"//evil.test/list?n=1":       "not a path of this site",
		`/\evil.test/list?n=1`:       "not a path of this site",
		`\\evil.test?n=1`:            "not a path of this site",
		"/\t/evil.test?n=1":          "not a path of this site",
		"?n=1\r\nSet-Cookie: a=b":    "not a path of this site",
		"/shop/other?n=1":            "the page's path is /shop/list, only its query can be another",
		"/shop/list/?n=1":            "the page's path is /shop/list",
		"/shop/../list?n=1":          "the page's path is /shop/list",
		"/shop/list@evil.test?n=1":   "the page's path is /shop/list",
		"?n=1#top":                   "a fragment is not the server's to set",
		"?n=%zz":                     "invalid URL escape",
		"?_live=client.js":           "the query's key _live is taken",
		"?n=1&%5flive=manifest.x":    "the query's key _live is taken",
		"?n=1&next=//evil.test/":     "",
		"?next=javascript:alert(1)":  "",
		"?n=$&":                      "",
	} {
		t.Run(address[:min(len(address), 40)], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &movable{}
				n := startNode(t, memStore(t), live.Config{})
				p := livetest.Open(t, viewNamed(t, n, "list", c, plain{}, `{{.N}}`), "/shop/list?n=3")
				p.Click("Patch", map[string]any{"to": address})
				if want == "" && c.err != nil || want != "" && (!errors.Is(c.err, live.ErrNavigate) || !strings.Contains(c.err.Error(), want)) {
					t.Errorf("PatchURL: %v, want %q", c.err, want)
				}
				if got := p.Address(); !strings.HasPrefix(got, "/shop/list") || want != "" && got != "/shop/list?n=3" {
					t.Errorf("the page is at %s", got)
				}
			})
		})
	}
}

// TestPatchURLNeedsOnURL: without it back and forward would change the address
// alone.
func TestPatchURLNeedsOnURL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &patcher{}
		p := livetest.Open(t, view(t, startNode(t, memStore(t), live.Config{}), c, plain{}, `{{.N}}`), "/")
		p.Click("Patch", map[string]any{"to": "?n=1"})
		if c.err == nil || !strings.Contains(c.err.Error(), "the controller has no OnURL") {
			t.Errorf("PatchURL: %v", c.err)
		}
		// A script of the page's has moved it: there is nothing to do.
		if err := p.Try("OnURL", map[string]any{"u": "?n=2"}); err != nil {
			t.Errorf("the script's address: %+v", err)
		}
	})
}

// TestBrowsersAddressIsChecked: what a browser says of its address is a query, and
// no longer than one.
func TestBrowsersAddressIsChecked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := livetest.Open(t, view(t, startNode(t, memStore(t), live.Config{}), &movable{}, plain{}, `{{.N}}`), "/?n=3")
		for u, want := range map[any]string{
			"?" + strings.Repeat("n", 2048): `field "u" has 2049 bytes, at most 2048 are allowed`,
			"//evil.test":                   `field "u": want a query or nothing`,
			7:                               "cannot unmarshal",
			"?n=%zz&n=4":                    "",
			"":                              "",
		} {
			err := p.Try("OnURL", map[string]any{"u": u})
			if want == "" && err != nil || want != "" && (err == nil || err.Code != "invalid" || !strings.Contains(err.Message, want)) {
				t.Errorf("%v: %+v, want %q", u, err, want)
			}
		}
		time.Sleep(time.Minute)
		if p.State().Closed != 0 {
			t.Errorf("closed with %d", p.State().Closed)
		}
	})
}
