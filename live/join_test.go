package live_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/livetest"
)

// maxJoin is what a page that is current may cost to join, in bytes.
const maxJoin = 64

type tabling struct{}

func (tabling) Nothing(s enginetest.Table, _ *live.Context) (enginetest.Table, error) { return s, nil }

// TestJoinSendsNothing connects a page of 1,000 rows that is what the server
// would render: its first frame says hello and no more.
func TestJoinSendsNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, memStore(t), live.Config{})
	v := view(t, n, tabling{}, enginetest.NewTable(1000), enginetest.TablePage)
	server := httptest.NewServer(v)
	defer server.Close()
	page, cookie := load(t.Context(), server.URL)
	ws := connect(t.Context(), server.URL, cookie, page)
	_, first, err := ws.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(first) > maxJoin || !strings.Contains(string(first), `"v":1`) {
		t.Errorf("the first frame has %d bytes, want a hello of at most %d: %.200s", len(first), maxJoin, first)
	}
	t.Logf("report: joining a current page of 1,000 rows: %d bytes", len(first))
	_ = ws.CloseNow()
}

// TestTokensAreRenewed keeps a page for longer than a token lasts.
func TestTokensAreRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		p := livetest.Open(t, v, "/")
		p.Click("Add", nil)
		before := p.Text()
		for range 3 {
			time.Sleep(4 * 24 * time.Hour)
			p.Reconnect(v)
		}
		if got := p.Text(); got != before {
			t.Errorf("the page was mounted anew: %q, before %q", got, before)
		}
	})
}
