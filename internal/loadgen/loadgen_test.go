package loadgen_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"lastmile/internal/e2e/harness"
	"lastmile/internal/loadgen"
	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		numbers               []int
		lost, twice, disorder int
	}{
		{[]int{1, 2, 3}, 0, 0, 0},
		{[]int{1, 3}, 1, 0, 0},
		{[]int{1, 2, 2, 3}, 0, 1, 0},
		{[]int{2, 1, 3}, 0, 0, 1},
		{nil, 3, 0, 0},
	} {
		lost, twice, disorder := loadgen.Judge(tt.numbers, 3)
		if lost != tt.lost || twice != tt.twice || disorder != tt.disorder {
			t.Errorf("%v: lost %d, twice %d, disorder %d", tt.numbers, lost, twice, disorder)
		}
	}
}

// TestLoad is the short form of BenchmarkLoad.
func TestLoad(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string]int{"one node": 1, "four nodes": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("report: %s", load(t, nodes, 200, 200, 5))
		})
	}
}

// BenchmarkLoad loads one node with 10,000 connections and 1,000 pushes a
// second for a minute.
func BenchmarkLoad(b *testing.B) {
	for range b.N {
		b.Logf("%s", load(b, 1, 10_000, 1000, 60))
	}
	b.ReportMetric(0, "ns/op") // a minute, always
}

// BenchmarkFourNodes spreads 2,000 connections over four nodes and publishes
// 5,000 pushes a second for 20 seconds.
func BenchmarkFourNodes(b *testing.B) {
	for range b.N {
		b.Logf("%s", load(b, 4, 2000, 5000, 20))
	}
	b.ReportMetric(0, "ns/op") // it takes as long as the publisher needs
}

// figures is what a run measures beside the connections' own Result.
type figures struct {
	loadgen.Result
	took    string // the publisher's time, in seconds
	rss     int    // bytes of node memory for each idle connection
	loaded  int    // the same at the end of the load
	session int    // bytes of Redis memory for each idle session
	parked  int    // for each push of five that wait for a session
	further int    // for each of five more
}

func (f figures) String() string {
	return fmt.Sprintf("%d connections, %d pushes in %s s, %d frames; lost %d, twice %d, out of order %d, dropped %d; "+
		"publish to frame p50 %s, p99 %s, max %s; node RSS per idle connection %d B, at the end of the load %d B; "+
		"Redis per idle session %d B, per waiting push %d B (five a session), per further one %d B",
		f.Connections, f.Pushes, f.took, f.Frames, f.Lost, f.Twice, f.Disorder, f.Dropped,
		f.P50.Round(time.Microsecond), f.P99.Round(time.Microsecond), f.Max.Round(time.Microsecond), f.rss, f.loaded,
		f.session, f.parked, f.further)
}

// load runs the processes, and fails when a connection did not show exactly
// what was published.
func load(t testing.TB, nodes, sessions, rate, seconds int) figures {
	t.Helper()
	redis := redistest.Start(t, redistest.Config{AOF: "everysec"})
	s := loadgen.Spec{Redis: redis.Addr(), Sessions: sessions, Rate: rate, Total: rate * seconds}
	var webs []*harness.Process
	for range nodes {
		s.Addr = harness.FreeAddr(t)
		s.Nodes = append(s.Nodes, s.Addr)
		webs = append(webs, start(t, s, loadgen.Web))
		patience.UntilSaid(t, "the node", func() (bool, string) { return collect(t, s.Addr) })
	}
	empty, store := memory(t, webs...), used(t, redis)

	conns := start(t, s, loadgen.Connect)
	patience.UntilSaid(t, "all connections", func() (bool, string) {
		return strings.Contains(conns.Output(), "open") || !conns.Running(), conns.Output()
	})
	var f figures
	idle(t, s.Nodes...)
	f.rss, f.session = (memory(t, webs...)-empty)/sessions, (used(t, redis)-store)/sessions

	publisher := start(t, s, loadgen.Publish)
	<-publisher.Done()
	f.took = strings.TrimSpace(strings.TrimPrefix(publisher.Output(), "published "))
	patience.UntilSaid(t, "all pushes", func() (bool, string) { return !conns.Running(), "" })
	f.loaded = (memory(t, webs...) - empty) / sessions
	out := conns.Output()
	_, result, _ := strings.Cut(out, "open\n")
	if err := json.Unmarshal([]byte(result), &f.Result); err != nil {
		t.Fatalf("result %q: %v", out, err)
	}
	if f.Lost+f.Twice+f.Disorder+f.Dropped > 0 || f.Pushes != s.Total {
		t.Errorf("want every push once, in order: %s\nnode: %s", f, webs[0].Output())
	}
	f.parked, f.further = park(t)
	return f
}

func start(t testing.TB, s loadgen.Spec, mode string) *harness.Process {
	t.Helper()
	s.Mode = mode
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return harness.Start(t, harness.Spec{Name: mode, Path: self, Env: []string{s.Env()}})
}

// collect has the node give back what it does not use, and tells whether it is
// healthy.
func collect(t testing.TB, addr string) (bool, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/collect", nil)
	if err != nil {
		return false, err.Error()
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err.Error()
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // all has been read
	return err == nil && string(body) == "true", string(body)
}

// idle collects often enough for the stacks to have shrunk.
func idle(t testing.TB, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		for range 6 {
			patience.UntilSaid(t, "a collection", func() (bool, string) { return collect(t, addr) })
		}
	}
}

// memory returns the processes' resident memory.
func memory(t testing.TB, processes ...*harness.Process) (sum int) {
	t.Helper()
	for _, p := range processes {
		sum += resident(t, p)
	}
	return sum
}

func resident(t testing.TB, p *harness.Process) int {
	t.Helper()
	_, pid, _ := strings.Cut(strings.TrimSuffix(p.String(), "]"), "[")
	f, err := os.Open("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was read only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// used returns the memory that Redis has in use.
func used(t testing.TB, s *redistest.Server) int {
	t.Helper()
	info, err := s.Client(t).Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	n, err := strconv.Atoi(strings.TrimSpace(rest[:strings.IndexByte(rest, '\n')]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// park pushes into sessions that nobody has open, on a server of its own, and
// returns the bytes that five pushes a session cost each, and that five more do.
func park(t testing.TB) (first, more int) {
	t.Helper()
	s := redistest.Start(t, redistest.Config{AOF: "everysec"})
	const sessions, pushes = 1000, 5
	transport, err := redisstream.New(s.Client(t), redisstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	round := func(part string) int {
		before := used(t, s)
		for i := range sessions * pushes {
			_, err := transport.Append(t.Context(), push.Message{
				ID: part + strconv.Itoa(i), Session: fmt.Sprintf("absent-%d", i%sessions), Action: "Number",
				Data: []byte(`{"token":"12345@1700000000000000000"}`),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return (used(t, s) - before) / (sessions * pushes)
	}
	first = round("first-")
	return first, round("more-")
}
