// Package redistest runs real Redis servers for tests: alone, as a cluster, or
// under Sentinel, each on a free loopback port with a directory of its own. It
// fakes nothing and shares no server between tests: what needs no real Redis uses
// push/pushtest. Only tests use it.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/internal/patience"
)

// Config says what server to run. The zero value keeps nothing on disk.
type Config struct {
	// AOF is "always" or "everysec" to keep an append-only file, or empty for
	// none.
	AOF string
	// Args are further arguments of redis-server, as in "--maxmemory", "8mb".
	Args []string
}

// Server is a redis-server process. Its methods fail the test on error and are
// safe for concurrent use.
type Server struct {
	t    testing.TB
	dir  string
	port int
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start runs a server until the test ends. It fails the test, and does not
// skip it, when there is no redis-server.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	args := []string{"--save", "", "--appendonly", "no"}
	if cfg.AOF != "" {
		args = []string{"--save", "", "--appendonly", "yes", "--appendfsync", cfg.AOF}
	}
	return start(t, append(args, cfg.Args...))
}

func start(t testing.TB, args []string) *Server {
	t.Helper()
	return startWith(t, nil, args)
}

// startWith puts some arguments before the usual ones. It tries again on
// another port when somebody else was quicker to take it.
func startWith(t testing.TB, first, args []string) *Server {
	t.Helper()
	var err error
	for range 5 {
		s := &Server{t: t, dir: t.TempDir(), port: freePort(t)}
		s.args = slices.Concat(first, []string{
			"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no", "--logfile", s.logPath(),
		}, args)
		if err = s.run(); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatalf("redistest: %v", err)
	return nil
}

// binary finds redis-server.
func binary(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redistest: redis-server is not installed: on Debian or Ubuntu `apt-get install redis-server`, on macOS `brew install redis`")
	}
	return path
}

func freePort(t testing.TB) int {
	t.Helper()
	for range 20 {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("redistest: find a port: %v", err)
		}
		addr, ok := l.Addr().(*net.TCPAddr)
		_ = l.Close()
		if port := addr.Port; ok && port < 55000 { // a cluster's bus needs the port 10,000 above
			return port
		}
	}
	t.Fatal("redistest: found no port below 55000")
	return 0
}

// run starts the process and waits until it answers.
func (s *Server) run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runLocked()
}

func (s *Server) runLocked() error {
	// The process ends by Kill: a context would end it before the cleanups.
	cmd := exec.Command(binary(s.t), s.args...) //nolint:gosec,noctx // arguments of the test itself
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed: an error is normal
		close(done)
	}()
	s.cmd, s.done = cmd, done
	if err := s.ready(done); err != nil {
		_ = cmd.Process.Kill()
		<-done
		s.cmd = nil
		tail, _ := os.ReadFile(s.logPath())
		return fmt.Errorf("%w\n%s", err, tail)
	}
	return nil
}

// ready polls until the server answers and has loaded its data.
func (s *Server) ready(done <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience.Limit)
	defer cancel()
	c := s.client()
	defer c.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.Ping(ctx).Err()
		if err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
			return s.owns(done)
		}
		select {
		case <-done:
			return errors.New("redis-server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// owns makes sure that it was this process that answered: one that found its
// port taken ends.
func (s *Server) owns(done <-chan struct{}) error {
	select {
	case <-done:
		return errors.New("another server has taken the port")
	default:
		return nil
	}
}

func (s *Server) logPath() string { return filepath.Join(s.dir, "redis.log") }

// Addr returns the server's address.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *Server) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.Addr(), Protocol: 2, DisableIdentity: true, DialTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Client returns a client that is closed when the test ends.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	c := s.client()
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the server by SIGKILL and waits until it is gone.
func (s *Server) Kill() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

func (s *Server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

// Restart kills the server if it still runs, and starts it again with the same
// port and directory.
func (s *Server) Restart() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
	if err := s.runLocked(); err != nil {
		s.t.Errorf("redistest: restart: %v", err)
	}
}

// Stop ends the server; it is called when the test ends.
func (s *Server) Stop() { s.Kill() }

// Pause keeps the server from answering anybody for d. Connections stay open.
func (s *Server) Pause(t testing.TB, d time.Duration) {
	t.Helper()
	c := s.client()
	defer c.Close()
	if err := c.Do(t.Context(), "CLIENT", "PAUSE", d.Milliseconds(), "ALL").Err(); err != nil {
		t.Fatalf("redistest: pause: %v", err)
	}
}

// Freeze stops the server where it stands (SIGSTOP), and Thaw lets it go on.
// Connections stay open, and new ones are accepted by the kernel.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
}

// Thaw undoes Freeze.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGCONT)
}

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("redistest: %v: %v", sig, err)
	}
}

// AwaitPromotion waits until the server, a replica before, is a master.
func (s *Server) AwaitPromotion(t testing.TB) {
	t.Helper()
	s.await(t, "to be promoted", contains("role:master"), "INFO", "replication")
}

// CPU returns the processor time that the server has used.
func (s *Server) CPU(t testing.TB) time.Duration {
	t.Helper()
	c := s.client()
	defer c.Close()
	info, err := c.Info(context.WithoutCancel(t.Context()), "cpu").Result()
	if err != nil {
		t.Fatalf("redistest: info: %v", err)
	}
	var sum float64
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			n, _ := strconv.ParseFloat(value, 64)
			sum += n
		}
	}
	return time.Duration(sum * float64(time.Second))
}
