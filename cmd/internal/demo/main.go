// Command demo runs the reference application as it is deployed, on one machine: two
// web nodes, two workers, a store and a proxy, each a process that can be killed from
// the first page. Nothing has to be installed for it; with a redis-server on the
// PATH the store is one, with its append-only file, and can be killed too. Only
// make demo runs it.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/obs"
	"lastmile/internal/service"
)

func main() {
	os.Exit(run(service.UntilSignal(context.Background()), os.Args[1:], os.Stdout, os.Stderr))
}

// settings are the program's flags.
type settings struct {
	config.Log
	config.About

	Addr     string `name:"addr" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address of the proxy, on this machine alone."`
	Bin      string `name:"bin" placeholder:"DIR" help:"Where the programs web and worker are. Defaults to where this one is."`
	Embedded bool   `name:"embedded" help:"Use the store inside this process also where there is a redis-server."`
	All      bool   `name:"all" help:"Show all that the processes log, not just warnings."`
}

// Check keeps the buttons that kill from everybody else.
func (s *settings) Check() error {
	host, _, err := net.SplitHostPort(s.Addr)
	if ip := net.ParseIP(host); err != nil || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return fmt.Errorf("%w: --addr=%s: must be of this machine alone, such as 127.0.0.1:8080", config.ErrUsage, s.Addr)
	}
	if s.Bin == "" {
		own, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the programs (--bin): %w", err)
		}
		s.Bin = filepath.Dir(own)
	}
	return nil
}

// run is the program without the process: it returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var s settings
	_, code, done := config.Parse(&s, "demo", "Runs Lastmile's demonstration: processes to kill, and a page that does not mind.", args, out, errs)
	if done {
		return code
	}
	return config.Exit(errs, "demo", false, serve(ctx, &s, obs.NewLogger(errs, s.Format, s.Level), out, errs))
}

// serve runs everything until ctx ends. The web nodes and workers end first, what
// they stand on last.
func serve(ctx context.Context, s *settings, log *slog.Logger, out, errs io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s (--addr): %w", s.Addr, err)
	}
	defer listener.Close()
	public := &url.URL{Scheme: "http", Host: listener.Addr().String()}
	logs := &logs{to: errs, all: s.All}
	store, closeStore, err := openStore(ctx, s.Embedded, log, logs)
	if err != nil {
		return err
	}
	defer closeStore()
	desk, err := newDesk(ctx, log)
	if err != nil {
		return err
	}
	token := rand.Text()
	balance := newBalancer(log)
	note := ""
	if store.child != nil {
		desk.add(store.child)
	} else {
		note = "  The store is inside this process and has no button: one can be killed where a redis-server is installed.\n\n"
		logs.known = `msg="redis set-up"` // what it lacks
	}
	common := []string{"REDIS_URL=" + store.url, "LOG_FORMAT=text", "LOG_LEVEL=info", "LASTMILE_DEMO=true"}
	for i := range 2 {
		name := fmt.Sprintf("web-%d", i+1)
		addr, err := freeAddr(ctx)
		if err != nil {
			return err
		}
		env := append([]string{
			"LASTMILE_ADDR=" + addr, "LASTMILE_PUBLIC_URL=" + public.String(), "LASTMILE_PROCESS=" + name, "LASTMILE_ADMIN_TOKEN=" + token,
			"LASTMILE_CONTROL=" + desk.url(), "LASTMILE_ALLOWED_ORIGINS=" + public.String(),
		}, common...)
		desk.add(&child{name: name, role: "serves pages", path: filepath.Join(s.Bin, "web"), env: env, pausable: true, log: log, out: logs})
		balance.add(name, addr)
	}
	for i := range 2 {
		name := fmt.Sprintf("worker-%d", i+1)
		desk.add(&child{
			name: name, role: "runs jobs", path: filepath.Join(s.Bin, "worker"), args: []string{"run"},
			env: append([]string{"LASTMILE_PROCESS=" + name}, common...), pausable: true, log: log, out: logs,
		})
	}
	_, _ = fmt.Fprintf(out, "\n  %s\n\n  %s/ops?token=%s opens the operator's pages. Ctrl-C ends it all.\n\n%s", public, public, token, note)
	server := &http.Server{Handler: balance, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	front := []service.Task{
		{Name: "health checks", Run: balance.watch},
		{Name: "proxy", Run: func(ctx context.Context) error {
			return service.Serve(ctx, server, func() error { return server.Serve(listener) }, time.Second)
		}},
	}
	return service.Run(ctx, []service.Task{{Name: "control", Run: desk.serve}}, desk.store(), desk.others(), front)
}

// freeAddr returns an address that nobody listens on.
func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	addr := l.Addr().String()
	return addr, l.Close()
}
