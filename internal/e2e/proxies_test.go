package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lastmile/internal/e2e/harness"
	"lastmile/internal/patience"
)

// proxyKinds are Debian's proxies as people set them up. %[1]s is where they
// listen, %[2]s the program behind, %[3]s a directory.
var proxyKinds = map[string]struct{ program, config string }{
	"nginx, stock": {"nginx", `daemon off; master_process off; pid %[3]s/pid; error_log stderr;
events {}
http {
	access_log off; client_body_temp_path %[3]s/body; proxy_temp_path %[3]s/proxy;
	fastcgi_temp_path %[3]s/f; uwsgi_temp_path %[3]s/u; scgi_temp_path %[3]s/s;
	server { listen %[1]s; location / { proxy_pass http://%[2]s; } }
}`},
	"nginx, usual": {"nginx", `daemon off; master_process off; pid %[3]s/pid; error_log stderr;
events {}
http {
	access_log off; client_body_temp_path %[3]s/body; proxy_temp_path %[3]s/proxy;
	fastcgi_temp_path %[3]s/f; uwsgi_temp_path %[3]s/u; scgi_temp_path %[3]s/s;
	server { listen %[1]s; location / {
		proxy_pass http://%[2]s; proxy_http_version 1.1;
		proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
		proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
	} }
}`},
	"haproxy, http": {"haproxy", `defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend f
	bind %[1]s
	default_backend b
backend b
	server s %[2]s
`},
	"haproxy, forwardfor": {"haproxy", `defaults
	mode http
	option forwardfor
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend f
	bind %[1]s
	default_backend b
backend b
	server s %[2]s
`},
	"haproxy, tcp": {"haproxy", `defaults
	mode tcp
	timeout connect 5s
	timeout client 60s
	timeout server 60s
listen l
	bind %[1]s
	server s %[2]s
`},
}

// startProxy starts one of proxyKinds before the program at addr.
func startProxy(t *testing.T, kind, addr string) string {
	t.Helper()
	p, dir, front := proxyKinds[kind], t.TempDir(), harness.FreeAddr(t)
	path, err := exec.LookPath(p.program)
	if err != nil { // a visitor of Debian does not have it in the path
		path, err = exec.LookPath("/usr/sbin/" + p.program)
	}
	if err != nil {
		t.Fatalf("%s is needed (Debian: apt-get install nginx-light haproxy): %v", p.program, err)
	}
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, p.config, front, addr, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", file}
	if p.program == "nginx" {
		args = []string{"-p", dir, "-c", file, "-e", "stderr"}
	}
	harness.Start(t, harness.Spec{Name: kind, Path: path, Args: args})
	patience.Until(t, kind, func() bool {
		status, _, err := get(t.Context(), newVisitor(t), "http://"+front+"/healthz")
		return err == nil && status == http.StatusOK
	})
	return front
}

// TestOperatorsPagesBehindProxies: a proxy on the program's own machine makes
// every stranger a visitor of this machine, with any Host, and need not say so.
func TestOperatorsPagesBehindProxies(t *testing.T) {
	t.Parallel()
	const token = "correct horse battery"
	addr := harness.FreeAddr(t)
	harness.Start(t, harness.Spec{Name: "web", Path: binaries.Web(t), Env: []string{"LASTMILE_ADDR=" + addr, "LASTMILE_ADMIN_TOKEN=" + token}})
	patience.Until(t, "the program", func() bool {
		status, _, err := get(t.Context(), newVisitor(t), "http://"+addr+"/readyz")
		return err == nil && status == http.StatusOK
	})
	for kind := range proxyKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			front := startProxy(t, kind, addr)
			for _, host := range []string{front, "localhost", "127.0.0.1", "[::1]", "reports.example"} {
				for _, path := range []string{"/ops", "/metrics", "/admin/asynq/", "/admin/asynq/api/queues", "/admin/pprof/heap"} {
					for given, want := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, token: http.StatusOK} {
						if got := askAs(t, http.MethodGet, front, host, path, given); got != want {
							t.Errorf("GET %s, host %s, token %q: got status %d, want %d", path, host, given, got, want)
						}
					}
				}
				if got := askAs(t, http.MethodPost, front, host, "/admin/asynq/api/queues/default:pause", ""); got != http.StatusUnauthorized {
					t.Errorf("an anonymous POST, host %s, that pauses a queue: got status %d, want 401", host, got)
				}
			}
		})
	}
}

// askAs sends one request by a Host of its own.
func askAs(t *testing.T, method, addr, host, path, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	if token != "" {
		req.SetBasicAuth("operator", token)
	}
	client := newVisitor(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	return res.StatusCode
}
