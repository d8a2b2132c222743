package harness_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lastmile/internal/e2e/harness"
	"lastmile/internal/patience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProcess(t *testing.T) {
	t.Parallel()
	t.Run("kill", func(t *testing.T) {
		t.Parallel()
		p := harness.Start(t, harness.Spec{Name: "cat", Path: "/bin/cat"})
		if !p.Running() {
			t.Fatal("not running")
		}
		p.Kill()
		if p.Running() {
			t.Error("running after Kill")
		}
	})
	t.Run("stop", func(t *testing.T) {
		t.Parallel()
		p := harness.Start(t, harness.Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do read x; done"}})
		patience.UntilSaid(t, "the trap", func() (bool, string) { return strings.Contains(p.Output(), "up"), p.Output() })
		p.Stop(t)
		if got, want := p.Output(), "up\nbye\n"; got != want {
			t.Errorf("output %q, want %q", got, want)
		}
	})
	t.Run("environment", func(t *testing.T) {
		t.Parallel()
		got := harness.Run(t, harness.Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "echo $A"}, Env: []string{"A=b"}})
		if string(got) != "b\n" {
			t.Errorf("got %q", got)
		}
	})
}

// named answers each line with its name and the line.
func named(t *testing.T, name string) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", harness.FreeAddr(t))
	for tries := 0; err != nil && tries < 10; tries++ { // another process was quicker
		l, err = config.Listen(t.Context(), "tcp", harness.FreeAddr(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewScanner(conn)
				for in.Scan() {
					if _, err := conn.Write([]byte(name + " " + in.Text() + "\n")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

type caller struct {
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, addr string) *caller {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &caller{Conn: conn, in: bufio.NewReader(conn)}
}

func (c *caller) ask(t *testing.T, line string) (string, error) {
	t.Helper()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	return c.in.ReadString('\n')
}

func TestProxy(t *testing.T) {
	t.Parallel()
	a, b := named(t, "a"), named(t, "b")
	dead := harness.FreeAddr(t)
	p := harness.StartProxy(t, a, dead, b)
	var names []string
	var conns []*caller
	for range 6 {
		c := call(t, p.Addr())
		got, err := c.ask(t, "x")
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimSuffix(got, " x\n"))
		conns = append(conns, c)
	}
	if got := strings.Join(names, ""); strings.Count(got, "a") < 2 || strings.Count(got, "b") < 2 || len(got) != 6 {
		t.Errorf("answers came from %q, want both nodes in turn and none from the dead one", got)
	}

	if got, want := p.Cut(a), strings.Count(strings.Join(names, ""), "a"); got != want {
		t.Errorf("cut %d connections, want %d", got, want)
	}
	for i, c := range conns {
		_, err := c.ask(t, "y")
		if cut := err != nil; cut != (names[i] == "a") {
			t.Errorf("connection %d to %s: error %v", i, names[i], err)
		}
	}

	if p.Stall(b) == 0 {
		t.Error("no connection stalled")
	}
	for i, c := range conns {
		if names[i] != "b" {
			continue
		}
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.ask(t, "z"); err == nil {
			t.Errorf("a half-open connection answered %q", got)
		}
	}

	p.SetTargets(b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 {
		got, err := call(t, p.Addr()).ask(t, "x")
		if err != nil || got != "b x\n" || ctx.Err() != nil {
			t.Errorf("got %q, %v after SetTargets", got, err)
		}
	}
}
