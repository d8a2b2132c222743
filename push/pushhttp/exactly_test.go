package pushhttp_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

var (
	exactPushes = flag.Int("exactly", 120, "pushes of TestExactlyOnceOnRedis")
	exactKills  = flag.Int("exactly.kills", 1, "kills of Redis in it")
)

// tab reads a session to the end of the test, whatever happens to its
// connections: a well-behaved client of one kind.
type tab struct {
	s      *site
	kind   string
	path   string
	mu     sync.Mutex
	cursor string
	seen   []string
	resets int
}

// kinds are the ways to read. Each keeps the cursor of the last event that it has
// taken, as a browser does.
var kinds = map[string]func(*tab, context.Context){
	"EventSource": (*tab).stream, "long poll": (*tab).poll, "confirming stream": (*tab).confirming, "socket": (*tab).socket,
}

// run reads until ctx ends.
func (b *tab) run(ctx context.Context) {
	for ctx.Err() == nil {
		kinds[b.kind](b, ctx)
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (b *tab) take(id, action string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case action == "reset":
		b.resets++
	case action != "" && action != "stopping":
		b.seen = append(b.seen, numberOf(data))
	}
	if id != "" {
		b.cursor = id
	}
}

func (b *tab) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

func (b *tab) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen)
}

func (b *tab) resetCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.resets
}

func (b *tab) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cursor
}

// stream reads one connection to its end.
func (b *tab) stream(ctx context.Context) {
	res, err := b.s.do(ctx, call{method: http.MethodGet, path: b.path, session: alice, header: map[string]string{
		"Accept": "text/event-stream", "Last-Event-ID": b.last(),
	}})
	if err != nil {
		return
	}
	body := bufio.NewReader(res.Body)
	for err == nil {
		var e block
		if e, err = readBlock(body); err == nil {
			b.take(e.id, e.event, []byte(e.data))
		}
	}
	_ = res.Body.Close() // it is over
}

// poll asks once.
func (b *tab) poll(ctx context.Context) {
	sep := "?"
	if strings.Contains(b.path, "?") {
		sep = "&"
	}
	res, err := b.s.do(ctx, call{method: http.MethodGet, path: b.path + sep + "wait=5&limit=7&after=" + b.last(), session: alice, header: map[string]string{"Accept": jsonAccept}})
	if err != nil {
		return
	}
	var p polled
	err = json.NewDecoder(res.Body).Decode(&p)
	_ = res.Body.Close() // it is over
	if err != nil || res.StatusCode != http.StatusOK {
		return
	}
	if p.Reset {
		b.take("", "reset", nil)
	}
	for _, e := range p.Events {
		b.take(e.ID, e.Action, e.Data)
	}
	b.take(p.Next, "", nil)
}

// confirming reads one connection, and posts how far it has come meanwhile.
func (b *tab) confirming(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var posts sync.WaitGroup
	defer posts.Wait()
	defer cancel()
	posts.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
			res, err := b.s.do(ctx, call{method: http.MethodPost, path: strings.Replace(b.path, "events", "ack", 1), session: alice, body: `{"upTo":"` + b.last() + `"}`})
			if err == nil {
				_ = res.Body.Close() // the status says nothing more
			}
		}
	})
	b.stream(ctx)
}

// socket reads one WebSocket to its end, and confirms each event.
func (b *tab) socket(ctx context.Context) {
	sep := "?"
	if strings.Contains(b.path, "?") {
		sep = "&"
	}
	ws, _, err := websocket.Dial(ctx, "ws://site.test/push/"+strings.Replace(b.path, "events", "socket", 1)+sep+"after="+b.last(), //nolint:bodyclose // Dial says: never
		&websocket.DialOptions{HTTPClient: b.s.client, HTTPHeader: http.Header{"X-Session": {alice}}})
	for err == nil {
		var text []byte
		if _, text, err = ws.Read(ctx); err != nil {
			break
		}
		var m struct {
			ID, Action, Event string
			Data              json.RawMessage
		}
		if err = json.Unmarshal(text, &m); err != nil {
			break
		}
		b.take(m.ID, cmp.Or(m.Action, m.Event), m.Data)
		if m.ID != "" {
			err = ws.Write(ctx, websocket.MessageText, []byte(`{"ack":"`+m.ID+`"}`))
		}
	}
	if ws != nil {
		_ = ws.CloseNow() // it is over
	}
}

// exactly publishes n pushes of two actions while connections are cut, with all
// kinds of readers of all and of one action, and checks what each has seen.
// settle lets what is under way come to its end.
func exactly(t *testing.T, s *site, n int, pause func(), settle func(ok func() (bool, string))) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	want := map[string][]string{}
	var tabs []*tab
	for kind := range kinds {
		for _, path := range []string{"events", "events?actions=Odd"} {
			b := &tab{s: s, kind: kind, path: path}
			tabs = append(tabs, b)
			running.Go(func() { b.run(ctx) })
		}
	}
	all := func(behind func(*tab) bool) (bool, string) {
		i := slices.IndexFunc(tabs, behind)
		if i < 0 {
			return true, ""
		}
		return false, fmt.Sprintf("%s of %s has seen %d, %d resets", tabs[i].kind, tabs[i].path, tabs[i].count(), tabs[i].resetCount())
	}
	settle(func() (bool, string) { // each has its place before the first push
		return all(func(b *tab) bool { return b.last() == "" })
	})
	behind := func(by int) func(*tab) bool {
		return func(b *tab) bool { return b.count()+by < len(want[b.path]) }
	}
	for i := range n {
		if i%200 == 199 && n > 1000 { // the mailbox would be full, and the publisher have to wait
			settle(func() (bool, string) { return all(behind(200)) })
		}
		action := []string{"Even", "Odd"}[i%2]
		s.push(alice, action, i)
		want["events"] = append(want["events"], strconv.Itoa(i))
		if action == "Odd" {
			want["events?actions=Odd"] = append(want["events?actions=Odd"], strconv.Itoa(i))
		}
		if rand.N(8) == 0 {
			s.cut()
		}
		pause()
	}
	settle(func() (bool, string) { return all(behind(0)) })
	settle(func() (bool, string) { return s.pending(alice) == "", "something is pending" })
	for _, b := range tabs {
		if got := b.all(); !slices.Equal(got, want[b.path]) || b.resets > 0 {
			t.Errorf("%s of %s: %d resets, saw\n%v, want\n%v", b.kind, b.path, b.resets, got, want[b.path])
		}
	}
	if got := s.pending(alice); got != "" {
		t.Errorf("pending at the end: %s", got)
	}
}

// inBubble runs exactly in fake time.
func inBubble(t *testing.T, n int, store func(*testing.T) push.Transport) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Second) })
		s := newSite(t, store(t), pushhttp.Config{MaxSessionReaders: 1000})
		exactly(t, s, n, func() { time.Sleep(rand.N(200 * time.Millisecond)) }, func(ok func() (bool, string)) {
			for range 600 {
				time.Sleep(100 * time.Millisecond)
				if done, _ := ok(); done {
					return
				}
			}
		})
	})
}

// TestExactlyOnceInOrder: every reader sees every push that it wants, once and in
// order, wherever its connection is cut, and the mailbox is empty at the end.
func TestExactlyOnceInOrder(t *testing.T) {
	t.Parallel()
	for run := range 5 {
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			t.Parallel()
			inBubble(t, 200, func(t *testing.T) push.Transport {
				t.Helper()
				store, err := mempush.New(mempush.Config{})
				if err != nil {
					t.Fatal(err)
				}
				return store
			})
		})
	}
}

// TestExactlyOnceOnMiniredis is the same on the scripts of the real store.
func TestExactlyOnceOnMiniredis(t *testing.T) {
	t.Parallel()
	inBubble(t, 40, func(t *testing.T) push.Transport {
		t.Helper()
		store, err := redisstream.New(pushtest.NewRedis(t).Client(t), redisstream.Config{Partitions: 1, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return store
	})
}

// TestExactlyOnceOnRedis is the same on a server that keeps a log and is killed
// under it.
func TestExactlyOnceOnRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{AOF: "always"})
	store, err := redisstream.New(server.Client(t), redisstream.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, store, pushhttp.Config{MaxSessionReaders: 1000, AckAfter: 100 * time.Millisecond})
	began, sent, next := time.Now(), 0, 1
	exactly(t, s, *exactPushes, func() {
		if sent++; sent >= next**exactPushes/(*exactKills+1) && next <= *exactKills {
			next++
			server.Kill()
			server.Restart()
		}
	}, func(ok func() (bool, string)) { patience.UntilSaid(t, "all readers have seen everything", ok) })
	t.Logf("report: %d pushes, %d kills of Redis, %d connections cut in %v: each of %d readers saw what it wants, once and in order; the mailbox is empty",
		*exactPushes, next-1, s.cuts, time.Since(began).Round(time.Second), 2*len(kinds))
}
