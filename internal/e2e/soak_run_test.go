package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/internal/e2e/harness"
	"lastmile/internal/e2e/history"
	"lastmile/internal/e2e/testapp"
	"lastmile/internal/e2e/wsclient"
	"lastmile/internal/patience"
	"lastmile/internal/redistest"
)

// soakConfig sizes a soak.
type soakConfig struct {
	length           time.Duration
	sessions, pushes int
	seed             uint64
	faults           []string
	breaks           testapp.Broken
	// nodeTTL and writeTimeout are the nodes', or zero for the usual ones.
	nodeTTL, writeTimeout time.Duration
	// lossy puts a replica beside Redis, that takes over without the latest
	// writes; wait is how many replicas a push waits for.
	lossy bool
	wait  int
	// deadly has some pushes end the node that applies them.
	deadly bool
}

const (
	soakLanes      = 4 // of each publisher process
	soakPublishers = 2
	// Every sixth session has nobody on it until the end.
	absentEvery = 6
)

// soak is a running one.
type soak struct {
	t          *testing.T
	cfg        soakConfig
	rand       *rand.Rand
	redis      *redistest.Server
	pair       *redistest.Pair // in place of redis, behind store
	store      *harness.Proxy
	proxy      *harness.Proxy
	webs       []*soakProcess
	publishers []*soakProcess
	tabs       []*soakTab
	checker    *history.Checker
	journal    string
	injected   []injection

	mu     sync.Mutex
	seen   []sighting
	inTime int // of seen, before the sessions that had nobody were opened
}

type soakProcess struct {
	*harness.Process
	spec testapp.Spec
}

// soakTab is one connection, with the clicks it made.
type soakTab struct {
	*wsclient.Page
	name, session string
	clicks        int
	shown         int // pushes
}

// injection is one fault.
type injection struct {
	kind string
	at   time.Time
}

// sighting is the first time that a tab showed a push.
type sighting struct {
	session, token string
	at             time.Time
}

func startSoak(t *testing.T, cfg soakConfig) *soak {
	t.Helper()
	if cfg.seed == 0 {
		cfg.seed = rand.Uint64()
	}
	t.Logf("seed %d", cfg.seed)
	s := &soak{
		t: t, cfg: cfg, rand: rand.New(rand.NewPCG(cfg.seed, 0)), checker: history.New(), journal: t.TempDir(),
	}
	addr := s.startRedis()
	s.proxy = harness.StartProxy(t)
	for range 2 {
		p := &soakProcess{spec: testapp.Spec{
			Mode: testapp.Web, Redis: addr, Addr: harness.FreeAddr(t), Break: cfg.breaks,
			WaitReplicas: cfg.wait, NodeTTL: cfg.nodeTTL, WriteTimeout: cfg.writeTimeout, Deadly: cfg.deadly,
		}}
		s.start(p)
		s.webs = append(s.webs, p)
	}
	s.proxy.SetTargets(s.webs[0].spec.Addr, s.webs[1].spec.Addr)
	for _, p := range s.webs {
		s.waitReady(p)
	}
	s.openTabs()
	for i := range soakPublishers {
		p := &soakProcess{spec: testapp.Spec{
			Mode: testapp.Publish, Redis: addr, Journal: s.journal, Sessions: cfg.sessions, Break: cfg.breaks,
			WaitReplicas: cfg.wait, Linger: cfg.lossy,
			Lanes: soakLanes, First: i * soakLanes, Total: cfg.pushes / (soakLanes * soakPublishers),
			Every: cfg.length * soakLanes * soakPublishers / time.Duration(cfg.pushes),
		}}
		s.start(p)
		s.publishers = append(s.publishers, p)
	}
	return s
}

// startRedis returns where the processes find Redis.
func (s *soak) startRedis() string {
	s.t.Helper()
	cfg := redistest.Config{AOF: "always"}
	if !s.cfg.lossy {
		s.redis = redistest.Start(s.t, cfg)
		return s.redis.Addr()
	}
	s.checker.Lossy = true
	s.pair = redistest.StartPair(s.t, redistest.Config{AOF: "everysec"})
	s.store = harness.StartProxy(s.t, s.pair.Primary.Addr())
	return s.store.Addr()
}

// start runs the test binary as the application.
func (s *soak) start(p *soakProcess) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p.Process = harness.Start(s.t, harness.Spec{Name: p.spec.Mode, Path: self, Env: []string{p.spec.Env()}})
}

// waitReady waits until the node answers a page.
func (s *soak) waitReady(p *soakProcess) {
	s.t.Helper()
	patience.UntilSaid(s.t, "web node", func() (bool, string) {
		if !p.Running() {
			s.t.Fatalf("web node ended:\n%s", p.Output())
		}
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+p.spec.Addr, nil)
		if err != nil {
			return false, err.Error()
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err.Error()
		}
		return res.Body.Close() == nil, res.Status
	})
}

// openTabs opens one to three tabs of each session that is not absent.
func (s *soak) openTabs() {
	s.t.Helper()
	for n := range s.cfg.sessions {
		if n%absentEvery == absentEvery-1 {
			continue
		}
		client := s.client(n)
		for i := range tabsOf(n) {
			s.tabs = append(s.tabs, s.open(n, fmt.Sprintf("%s/%d", testapp.SessionID(n), i), client))
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	var running sync.WaitGroup
	s.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, tab := range s.tabs {
		running.Go(func() { tab.Run(ctx) })
	}
	patience.UntilSaid(s.t, "all tabs", func() (bool, string) {
		n := 0
		for _, tab := range s.tabs {
			n += min(1, tab.Stats().Connects)
		}
		return n == len(s.tabs), fmt.Sprintf("%d of %d connected", n, len(s.tabs))
	})
}

// tabsOf is how many tabs session n has, unless it is absent.
func tabsOf(n int) int { return 1 + n%3 }

// client returns an HTTP client that is session n's browser.
func (s *soak) client(n int) *http.Client {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := url.Parse(s.proxy.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: testapp.SessionID(n)}})
	transport := &http.Transport{DisableKeepAlives: true} // each request meets the next node
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

func (s *soak) open(n int, name string, client *http.Client) *soakTab {
	s.t.Helper()
	tab := &soakTab{name: name, session: testapp.SessionID(n)}
	patience.UntilSaid(s.t, "the page of "+name, func() (bool, string) { // a busy store fails it at times
		page, err := wsclient.Open(s.t.Context(), wsclient.Config{
			Client: client, URL: s.proxy.URL(), Heartbeat: 2 * time.Second,
			Show: func(mount int, text string) { s.show(tab, mount, text) },
		})
		tab.Page = page
		return err == nil, fmt.Sprint(err)
	})
	return tab
}

// show hands what a tab shows to the checker, and notes when a push first
// appeared in it.
func (s *soak) show(tab *soakTab, mount int, text string) {
	log, shared, _ := parseText(text)
	s.checker.Show(fmt.Sprintf("%s mount %d", tab.name, mount), tab.session, mount == 0, log)
	s.checker.Show(fmt.Sprintf("%s mount %d, shared", tab.name, mount), tab.session, true, shared)
	if s.cfg.lossy && mount > 0 {
		former := fmt.Sprintf("%s mount %d", tab.name, mount-1)
		s.checker.Forget(former)
		s.checker.Forget(former + ", shared")
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range log[min(tab.shown, len(log)):] {
		s.seen = append(s.seen, sighting{tab.session, token, now})
	}
	tab.shown = max(tab.shown, len(log))
}

// parseText takes the page's text apart: the connection's list, the shared
// one, and the clicks.
func parseText(text string) (log, shared []string, clicks int) {
	parts := strings.Split(text, "|")
	if len(parts) != 3 {
		return []string{"unreadable: " + text}, nil, 0
	}
	clicks, _ = strconv.Atoi(parts[2])
	return tokens(parts[0]), tokens(parts[1]), clicks
}

func tokens(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// pushes returns what was promised.
func (s *soak) pushes() []history.Push {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.journal, "lane-*"))
	if err != nil {
		s.t.Fatal(err)
	}
	var all []history.Push
	for _, file := range files {
		pushes, err := testapp.ReadJournal(file)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, pushes...)
	}
	return all
}
