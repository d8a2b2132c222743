package live_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"lastmile/live"
	"lastmile/live/livetest"
)

const turnedAway = "live_visitors_turned_away_total"

// measured is a store that says how full it is, in hundredths.
type measured struct {
	store
	full atomic.Int64
}

func (m *measured) Full(context.Context) (float64, error) { return float64(m.full.Load()) / 100, nil }

// TestStrangersDoNotFillTheStore: from Config.FullAt on a visitor that nobody
// knows gets no new connection, whatever it comes by. All others do, and it too
// once there is room.
func TestStrangersDoNotFillTheStore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		full    int64
		at      float64
		user    string
		refused bool
	}{
		"there is room":              {full: 89},
		"nearly full":                {full: 90, refused: true},
		"more than full":             {full: 104, refused: true},
		"full, but signed in":        {full: 99, user: "alice"},
		"full by a bound of its own": {full: 50, at: 0.5, refused: true},
		"never full":                 {full: 110, at: 2},
	} {
		for _, lane := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, lane %v", name, lane), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := &measured{store: memStore(t)}
					reg := prometheus.NewRegistry()
					n := startNode(t, s, live.Config{FullAt: tc.at, Authenticator: byCookie{}, Registerer: reg})
					v := view(t, n, counting{}, counter{}, counterHTML)
					before := livetest.NewBrowser(t).Open(v, "/")
					s.full.Store(tc.full)
					time.Sleep(6 * time.Second)

					h := as(v, tc.user, "")
					b := livetest.NewBrowser(t)
					if lane {
						b.WithoutWebSockets()
					}
					p := b.Load(h, "/")
					if err := p.TryConnect(h); err != nil {
						t.Fatal(err)
					}
					p.Wait("an answer", func() bool { return p.State().Closed != 0 || p.State().Snapshots > 0 })
					if got := p.State().Closed; (got == websocket.StatusTryAgainLater) != tc.refused || (got != 0) != tc.refused {
						t.Errorf("closed with %d, want it refused: %v", got, tc.refused)
					}
					form := b.Post(h, "/", url.Values{"live-action": {"Add"}})
					if (form.Status == http.StatusServiceUnavailable) != tc.refused {
						t.Errorf("a form is answered %d, want it refused: %v", form.Status, tc.refused)
					}
					before.Click("Add", nil) // who was there before goes on
					before.Drop()
					before.Connect(v)
					before.Click("Add", nil)
					want := turnedAway + " 0"
					if tc.refused {
						want = turnedAway + " 2"
					}
					if !slices.Contains(samples(t, reg), want) {
						t.Errorf("no %s in %s", want, samples(t, reg))
					}

					s.full.Store(40)
					time.Sleep(6 * time.Second)
					if tc.refused {
						p.Connect(h)
					}
					p.Click("Add", nil)
				})
			})
		}
	}
}
