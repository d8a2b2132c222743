package e2e_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"lastmile/internal/e2e/history"
	"lastmile/internal/e2e/testapp"
	"lastmile/internal/patience"
)

// injectFaults goes through the faults in random order, again and again, for
// the soak's length. One web node always stays up.
func (s *soak) injectFaults() {
	s.t.Helper()
	end := time.Now().Add(s.cfg.length)
	var deck []string
	for time.Now().Before(end) {
		s.rest(300*time.Millisecond, 1200*time.Millisecond)
		if len(deck) == 0 {
			deck = slices.Clone(s.cfg.faults)
			s.rand.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		kind := deck[0]
		deck = deck[1:]
		s.click()
		s.mu.Lock()
		s.injected = append(s.injected, injection{kind, time.Now()})
		s.mu.Unlock()
		s.inject(kind)
	}
}

func (s *soak) inject(kind string) {
	s.t.Helper()
	web := s.webs[s.rand.IntN(len(s.webs))]
	switch kind {
	case "kill web":
		web.Kill()
		s.rest(100*time.Millisecond, 1500*time.Millisecond)
		s.start(web)
		s.waitReady(web)
	case "deploy web":
		web.Stop(s.t)
		s.start(web)
		s.waitReady(web)
	case "kill publisher":
		p := s.publishers[s.rand.IntN(len(s.publishers))]
		p.Kill()
		s.start(p) // one that had sent everything ends at once
	case "failover":
		s.failover()
	case "kill redis":
		s.redis.Kill()
		s.rest(100*time.Millisecond, 1000*time.Millisecond)
		s.redis.Restart()
	case "freeze redis": // longer than every timeout of a reader and a publisher
		s.redis.Freeze(s.t)
		s.rest(3*time.Second, 5*time.Second)
		s.redis.Thaw(s.t)
	case "cut sockets":
		s.proxy.Cut("")
	case "half-open":
		s.proxy.Stall(web.spec.Addr)
	case "freeze web": // beyond its lease: meanwhile its clients move to the other one
		web.Pause(s.t)
		s.rest(s.cfg.nodeTTL+2*time.Second, s.cfg.nodeTTL+4*time.Second)
		web.Resume(s.t)
	case "stall clients":
		for _, tab := range s.tabs {
			if s.rand.IntN(3) == 0 {
				tab.Stall(time.Second + time.Duration(s.rand.Int64N(int64(7*time.Second))))
			}
		}
	case "pause web":
		web.Pause(s.t)
		s.rest(time.Second, 3*time.Second)
		web.Resume(s.t)
	default:
		s.t.Fatalf("no such fault: %s", kind)
	}
}

// rest lets time pass: faults need something to hit.
func (s *soak) rest(from, to time.Duration) {
	timer := time.NewTimer(from + time.Duration(s.rand.Int64N(int64(to-from))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.t.Context().Done():
	}
}

// click clicks in some tabs, so that clicks fall between pushes and faults.
func (s *soak) click() {
	for _, tab := range s.tabs {
		if s.rand.IntN(3) == 0 {
			tab.clicks++
			tab.Click("Click", nil)
		}
	}
}

// finish waits until everything is sent and shown, and opens the sessions that
// had nobody.
func (s *soak) finish() {
	s.t.Helper()
	s.awaitPublishers()
	promised := s.pushes()
	for _, p := range promised {
		s.checker.Accept(p)
	}
	if got, want := len(promised), s.total(); got != want {
		s.t.Fatalf("the journals hold %d pushes, want %d", got, want)
	}
	if s.cfg.breaks == "" {
		s.awaitPages()
	} else { // what a broken build lost never comes
		s.rest(3*time.Second, 4*time.Second)
	}
	s.mu.Lock()
	s.inTime = len(s.seen)
	s.mu.Unlock()
	for n := range s.cfg.sessions {
		if n%absentEvery == absentEvery-1 {
			s.open(n, testapp.SessionID(n)+"/late", s.client(n))
		}
	}
}

// total is how many pushes the publishers send.
func (s *soak) total() int {
	return s.cfg.pushes / (soakLanes * soakPublishers) * soakLanes * soakPublishers
}

// awaitPublishers waits until everything is sent.
func (s *soak) awaitPublishers() {
	s.t.Helper()
	if s.cfg.lossy { // they stay, and send again what a failover loses
		patience.UntilSaid(s.t, "the publishers", func() (bool, string) {
			n := len(s.pushes())
			return n == s.total(), fmt.Sprintf("%d of %d pushes accepted", n, s.total())
		})
		return
	}
	for _, p := range s.publishers {
		patience.UntilSaid(s.t, "the publishers", func() (bool, string) { return !p.Running(), p.Output() })
	}
}

// awaitPages waits until all that was promised is shown. What is still missing
// then is for the checker to tell.
func (s *soak) awaitPages() {
	s.t.Helper()
	deadline := time.Now().Add(patience.Limit)
	for s.checker.Missing() > 0 {
		if time.Now().After(deadline) {
			s.t.Errorf("%d pushes are not shown after %v", s.checker.Missing(), patience.Limit)
			return
		}
		s.rest(20*time.Millisecond, 40*time.Millisecond)
	}
}

func (s *soak) judge() history.Report {
	remounts := 0
	for _, tab := range s.tabs {
		remounts += tab.Stats().Remounts
	}
	if remounts > 0 && s.cfg.breaks == "" && !s.cfg.lossy {
		s.t.Errorf("%d connections were mounted anew: their state was lost", remounts)
	}
	return s.checker.Report()
}

// checkClicks compares the clicks that each tab made with those it shows.
func (s *soak) checkClicks() {
	s.t.Helper()
	total := 0
	for _, tab := range s.tabs {
		patience.UntilSaid(s.t, "answers to clicks", func() (bool, string) {
			return tab.Waiting() == 0, fmt.Sprintf("%s: %d unanswered", tab.name, tab.Waiting())
		})
		total += tab.clicks
		if _, _, got := parseText(tab.Text()); got != tab.clicks && tab.Stats().Remounts == 0 {
			s.t.Errorf("%s: %d clicks applied, want %d; errors: %v", tab.name, got, tab.clicks, tab.Stats().Errors)
		}
	}
	s.t.Logf("report: %d clicks, each applied once", total)
}

// faultLines tells for each kind of fault how often it was injected, and how
// long a push accepted around it took at most to be shown.
func (s *soak) faultLines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := map[string]time.Time{}
	for _, p := range s.pushes() {
		sent[p.Session+" "+p.Token] = time.UnixMicro(int64(p.Seq))
	}
	byKind := map[string][]time.Duration{}
	for _, f := range s.injected {
		worst := time.Duration(0)
		for _, v := range s.seen[:s.inTime] {
			at := sent[v.session+" "+v.token]
			if at.After(f.at.Add(-time.Second)) && at.Before(f.at.Add(2*time.Second)) && v.at.After(f.at) {
				from := at
				if f.at.After(at) {
					from = f.at
				}
				worst = max(worst, v.at.Sub(from))
			}
		}
		byKind[f.kind] = append(byKind[f.kind], worst)
	}
	var lines []string
	for _, kind := range slices.SortedFunc(maps.Keys(byKind), cmp.Compare[string]) {
		times := byKind[kind]
		slices.Sort(times)
		lines = append(lines, fmt.Sprintf("%s: %d times; slowest push around it: median %v, worst %v",
			kind, len(times), times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond)))
	}
	return lines
}
