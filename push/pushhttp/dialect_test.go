package pushhttp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// fragment renders all actions but Silent.
func fragment(e push.Entry) (string, bool) {
	return fmt.Sprintf("<li>%s\n%s</li>", e.Action, numberOf(e.Data)), e.Action != "Silent"
}

func TestDialects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		as   string
		want block
	}{
		{"", block{event: "Did", data: `{"n":1}`}},
		{"json", block{event: "Did", data: `{"n":1}`}},
		{"html", block{data: "<li>Did\n1</li>"}},
		{"datastar", block{event: "datastar-patch-elements", data: "elements <li>Did\nelements 1</li>"}},
		{"datastar&selector=%23list&mode=append", block{event: "datastar-patch-elements", data: "selector #list\nmode append\nelements <li>Did\nelements 1</li>"}},
		{"html&selector=%23list&mode=append", block{data: "<li>Did\n1</li>"}},
	} {
		t.Run("as "+tt.as, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t, mempush.Config{}, pushhttp.Config{Render: fragment})
				st := s.listen(alice, "events?as="+tt.as, nil)
				s.push(alice, "Did", 1)
				synctest.Wait()
				blocks := st.all()
				got := blocks[len(blocks)-1]
				got.id = ""
				if got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

// TestWhatHasNoFragmentIsPassedOver: it waits for somebody else.
func TestWhatHasNoFragmentIsPassedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{Render: fragment})
		st := s.listen(alice, "events?as=html", nil)
		s.push(alice, "Did", 1)
		s.push(alice, "Silent", 2)
		time.Sleep(30 * time.Second)
		if got := len(st.all()); got < 3 || s.pending(alice) != "2" {
			t.Errorf("%d blocks, pending %s", got, s.pending(alice))
		}
		p := s.poll(alice, "?as=html&wait=0&after=")
		if len(p.Events) != 0 || p.Next == "" {
			t.Errorf("poll: %+v", p)
		}
		s.push(alice, "Did", 3)
		if p = s.poll(alice, "?as=html&after="+p.Next); len(p.Events) != 1 || string(p.Events[0].Data) != `"\u003cli\u003eDid\n3\u003c/li\u003e"` {
			t.Errorf("poll: %+v", p)
		}
	})
}

func TestFragmentsNeedARenderer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		for _, as := range []string{"html", "datastar", "xml"} {
			if a := s.answer(call{method: http.MethodGet, path: "events?as=" + as, session: alice}); a.status != http.StatusBadRequest || a.kind() != "as" {
				t.Errorf("as %s: %d %s", as, a.status, a.body)
			}
		}
	})
}

// TestPlacesThatAreNone: a selector of two lines would be an event of the reader's
// own making.
func TestPlacesThatAreNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{Render: fragment})
		for query, field := range map[string]string{
			"selector=a%0Adata:+x": "selector", "selector=a%0Db": "selector", "selector=" + strings.Repeat("a", 257): "selector",
			"mode=somewhere": "mode", "mode=append%0A": "mode",
		} {
			if a := s.answer(call{method: http.MethodGet, path: "events?as=datastar&" + query, session: alice}); a.status != http.StatusBadRequest || a.kind() != field {
				t.Errorf("%s: %d %s", query, a.status, a.body)
			}
		}
	})
}
