package live_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/internal/patience"
	"lastmile/live"
	"lastmile/live/livetest"
)

// rawLane is a lane by hand, over a server of this process.
type rawLane struct {
	t      *testing.T
	server *httptest.Server
	client *http.Client
	cookie *http.Cookie
	name   string
	events *bufio.Reader
	body   io.Closer
}

// openLane loads a page and opens a lane with its hello.
func openLane(t *testing.T, server *httptest.Server) *rawLane {
	t.Helper()
	l := &rawLane{t: t, server: server, client: server.Client()}
	res := l.do(http.MethodGet, "", "", nil)
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // it is read
	l.cookie = res.Cookies()[0]
	d := dataOf(string(page))
	patience.Until(t, "the hub to take a lane", func() bool {
		res = l.do(http.MethodPost, "?_live=lane", fmt.Sprintf(`{"v":1,"t":%q,"h":%q,"f":%q}`, d.Token, d.Hash, d.Manifest), nil)
		t.Cleanup(func() { _ = res.Body.Close() })
		return res.StatusCode == http.StatusOK
	})
	l.events, l.body = bufio.NewReader(res.Body), res.Body
	l.name = strings.TrimPrefix(l.next(), "event: lane\ndata: ")
	return l
}

func (l *rawLane) do(method, query, body string, header http.Header) *http.Response {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), method, l.server.URL+"/"+query, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", l.server.URL)
	maps.Copy(r.Header, header)
	if l.cookie != nil {
		r.AddCookie(l.cookie)
	}
	res, err := l.client.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	return res
}

// send sends a request with messages and returns the status of its answer.
func (l *rawLane) send(n int, messages string) int {
	l.t.Helper()
	res := l.do(http.MethodPost, "?_live=send&l="+l.name, fmt.Sprintf(`{"n":%d,"m":[%s]}`, n, messages), nil)
	_ = res.Body.Close() // the status is all
	return res.StatusCode
}

// next returns the next event, "" at the end.
func (l *rawLane) next() string {
	l.t.Helper()
	var b strings.Builder
	for {
		line, err := l.events.ReadString('\n')
		if err != nil {
			return ""
		}
		if line == "\n" {
			return strings.TrimSuffix(b.String(), "\n")
		}
		b.WriteString(line)
	}
}

// until reads events until one has the part.
func (l *rawLane) until(part string) string {
	l.t.Helper()
	for {
		e := l.next()
		if e == "" || strings.Contains(e, part) {
			return e
		}
	}
}

// session returns the session of the lane's browser.
func (l *rawLane) session(n *node) string {
	l.t.Helper()
	r := httptest.NewRequestWithContext(l.t.Context(), http.MethodGet, l.server.URL+"/", nil)
	r.AddCookie(l.cookie)
	s, err := n.hub.SessionOf(httptest.NewRecorder(), r)
	if err != nil {
		l.t.Fatal(err)
	}
	return s.ID()
}

// laneServers are servers that speak the versions of HTTP.
func laneServers(t *testing.T, test func(t *testing.T, serve func(http.Handler) *httptest.Server)) {
	t.Helper()
	for _, version := range []string{"HTTP/1.1", "TLS", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, func(h http.Handler) *httptest.Server {
				s := httptest.NewUnstartedServer(h)
				s.Config.ReadTimeout, s.Config.WriteTimeout = time.Hour, time.Hour
				s.EnableHTTP2 = version == "HTTP/2"
				if version == "HTTP/1.1" {
					s.Start()
				} else {
					s.StartTLS()
				}
				t.Cleanup(s.Close)
				return s
			})
		})
	}
}

func TestLaneRequestsAreTakenOnceInOrder(t *testing.T) {
	t.Parallel()
	laneServers(t, func(t *testing.T, serve func(http.Handler) *httptest.Server) {
		t.Helper()
		n := startNode(t, memStore(t), live.Config{})
		c := newListing()
		l := openLane(t, serve(view(t, n, c, list{}, listHTML)))
		add := func(i int) string { return fmt.Sprintf(`{"a":"Put","d":{"item":"%d"},"i":%d}`, i, i) }
		for _, r := range []struct {
			number   int
			messages string
		}{
			{2, add(3)},                // overtakes the first
			{2, add(3)},                // repeated before its turn
			{1, add(1) + "," + add(2)}, // both go now
			{1, add(1) + "," + add(2)}, // repeated, its answer was lost
			{3, `{}`},
			{4, add(4)},
		} {
			if got := l.send(r.number, r.messages); got != http.StatusNoContent {
				t.Errorf("request %d: status %d", r.number, got)
			}
		}
		l.until(`"i":4`)
		if got := strings.Join(c.ran.all(), " "); got != "1 2 3 4" {
			t.Errorf("ran %q, want each once in order", got)
		}
		if got := l.send(5, `{"a":"Put","d":{"item":"5"},"i":5}`); got != http.StatusNoContent {
			t.Errorf("status %d", got)
		}
		go n.stop()
		if got, want := l.until("event: close"), "event: close\ndata: {\"code\":1012,\"reason\":\"100\"}"; got != want {
			t.Errorf("a stopping node says %q, want %q", got, want)
		}
		if got := l.next(); got != "" {
			t.Errorf("%q comes behind the end", got)
		}
		patience.Until(t, "the lane to be gone", func() bool { return l.send(6, "") == http.StatusGone })
	})
}

func TestLaneNoticesThatItsBrowserIsGone(t *testing.T) {
	t.Parallel()
	laneServers(t, func(t *testing.T, serve func(http.Handler) *httptest.Server) {
		t.Helper()
		said := make(telling, 10)
		n := startNode(t, memStore(t), live.Config{})
		server := serve(view(t, n, said, counter{}, slowHTML))
		for _, c := range []struct {
			want  string
			leave func(*rawLane)
		}{
			{"lost", func(*rawLane) {}},
			{"closed", func(l *rawLane) {
				res := l.do(http.MethodPost, "?_live=send&l="+l.name, `{"n":1,"c":1000}`, nil)
				_ = res.Body.Close() // the end is what counts
			}},
		} {
			l := openLane(t, server)
			l.until(`"v":1`)
			c.leave(l)
			_ = l.body.Close() // it never fails
			if got := said.next(t); got != c.want {
				t.Errorf("OnDisconnect saw the reason %q, want %q", got, c.want)
			}
		}
		patience.Until(t, "no connection to be left", func() bool { return n.hub.Connections() == 0 })
	})
}

func TestSlowLaneIsCut(t *testing.T) {
	t.Parallel()
	laneServers(t, func(t *testing.T, serve func(http.Handler) *httptest.Server) {
		t.Helper()
		said := make(telling, 1000)
		said <- "go"
		n := startNode(t, memStore(t), live.Config{WriteTimeout: 50 * time.Millisecond})
		l := openLane(t, serve(view(t, n, said, counter{}, strings.Repeat(slowHTML, 8))))
		session := n.publisher.Session(l.session(n))
		for i := 0; ; i++ {
			if got := said.next(t); got == "slow" || got == "lost" { // HTTP/2 does not tell which
				return
			}
			_ = session.TriggerAction("Note", map[string]any{"text": strconv.Itoa(i) + filler}) // the page may be gone
		}
	})
}

func TestLaneRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	n := startNode(t, memStore(t), live.Config{MaxMessageBytes: 1000, MaxSessionConns: 1})
	server := httptest.NewServer(view(t, n, counting{}, counter{}, counterHTML))
	t.Cleanup(server.Close)
	l, foreign := openLane(t, server), openLane(t, server)
	const send = "?_live=send&l="
	for name, c := range map[string]struct {
		method, query, body string
		header              http.Header
		want                int
	}{
		"lane by GET":              {http.MethodGet, "?_live=lane", "", nil, http.StatusMethodNotAllowed},
		"messages by GET":          {http.MethodGet, send + l.name, "", nil, http.StatusMethodNotAllowed},
		"lane of another site":     {http.MethodPost, "?_live=lane", "{}", http.Header{"Origin": {"https://evil.test"}}, http.StatusForbidden},
		"messages of another site": {http.MethodPost, send + l.name, `{"n":1}`, http.Header{"Origin": {"https://evil.test"}}, http.StatusForbidden},
		"a cross-site fetch":       {http.MethodPost, send + l.name, `{"n":1}`, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"a form":                   {http.MethodPost, send + l.name, `{"n":1}`, http.Header{"Content-Type": {"text/plain"}}, http.StatusUnsupportedMediaType},
		"no lane":                  {http.MethodPost, send, `{"n":1}`, nil, http.StatusForbidden},
		"another session's lane":   {http.MethodPost, send + foreign.name, `{"n":1}`, nil, http.StatusForbidden},
		"a forged name":            {http.MethodPost, send + l.name[:len(l.name)-1], `{"n":1}`, nil, http.StatusForbidden},
		"no number":                {http.MethodPost, send + l.name, `{"m":[{}]}`, nil, http.StatusBadRequest},
		"no JSON":                  {http.MethodPost, send + l.name, `n=1`, nil, http.StatusBadRequest},
		"a long hello":             {http.MethodPost, "?_live=lane", strings.Repeat(" ", 2001), nil, http.StatusRequestEntityTooLarge},
		"long messages":            {http.MethodPost, send + l.name, strings.Repeat(" ", 4001), nil, http.StatusRequestEntityTooLarge},
		"one more of the session":  {http.MethodPost, "?_live=lane", "{}", nil, http.StatusServiceUnavailable},
	} {
		res := l.do(c.method, c.query, c.body, c.header)
		_ = res.Body.Close() // the status is all
		if res.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, c.want)
		}
	}
	if got := l.send(1, `{"a":"Add","i":1,"d":{"by":"`+strings.Repeat("x", 2100)+`"}}`); got != http.StatusNoContent {
		t.Errorf("a message over twice the bound: status %d", got)
	}
	if got := l.until("event: close"); !strings.Contains(got, "1009") {
		t.Errorf("a message over twice the bound ends with %q, want 1009", got)
	}
}

// noFlush hides what a response can do, as a middleware may.
type noFlush struct{ http.ResponseWriter }

func TestLaneNeedsAResponseThatStreams(t *testing.T) {
	t.Parallel()
	n := startNode(t, memStore(t), live.Config{})
	v := view(t, n, counting{}, counter{}, counterHTML)
	patience.Until(t, "501 from a hub that runs", func() bool {
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?_live=lane", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		v.ServeHTTP(noFlush{rec}, r)
		return rec.Code == http.StatusNotImplemented && n.hub.Connections() == 0
	})
}

func TestLaneMessagesComeToAnyNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		c1, c2 := newListing(), newListing()
		v1, v2 := view(t, one, c1, list{}, listHTML), view(t, two, c2, list{}, listHTML)
		synctest.Wait()
		b := livetest.NewBrowser(t)
		b.WithoutWebSockets(v1, v2)
		p := b.Open(v1, "/")
		var want []string
		for i := range 50 {
			p.Send("Put", put(i))
			want = append(want, strconv.Itoa(i))
			if i%10 == 9 { // the server takes 20 a second
				time.Sleep(time.Second)
			}
		}
		waitItems(t, p, strings.Join(want, " "))
		if len(c2.ran.all()) != 0 {
			t.Errorf("the other node ran %v", c2.ran.all())
		}
		if got := p.State().Mounts; got != 0 {
			t.Errorf("mounted anew %d times", got)
		}
		// The node that holds the lane is gone: the other one goes on.
		go one.stop()
		p.WaitClosed()
		p.Send("Put", put("x"))
		p.Connect(v2)
		waitItems(t, p, strings.Join(want, " ")+" x")
	})
}
