package compose_test

import (
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/internal/e2e/harness"
	"lastmile/internal/patience"
)

const password = "a-token-of-this-test"

// topology is what docker-compose.yml describes, run by hand.
type topology struct {
	t     *testing.T
	file  file
	redis string // address
	proxy string
}

// TestTopologyWithoutEngine runs what docker-compose.yml describes, without
// Docker: its commands, environments and health checks, the proxy's configuration,
// and the programs that the Dockerfile builds, with Debian's nginx and redis-server.
// Only names and ports are this machine's.
func TestTopologyWithoutEngine(t *testing.T) {
	t.Parallel()
	top := &topology{t: t, file: load(t), redis: harness.FreeAddr(t), proxy: harness.FreeAddr(t)}
	redis := top.startRedis()
	var programs []*harness.Process
	var nodes []string
	for _, name := range []string{"web", "worker", "asynqmon"} {
		for i := range max(top.file.Services[name].Deploy.Replicas, 1) {
			p, addr := top.start(name, i)
			programs = append(programs, p)
			if name == "web" {
				nodes = append(nodes, addr)
			}
			if name == "asynqmon" {
				top.asynqmon(addr)
			}
		}
	}
	proxy := top.startProxy(nodes)

	ctx := browser.New(t)
	browser.Quiet(ctx, t)
	browser.Do(ctx, t, chromedp.Navigate("http://"+top.proxy))
	browser.WaitFor(ctx, t, `window.live?.connected`)
	browser.Eval[string](ctx, t, `document.querySelector('[name=seconds]').form.querySelector('button').click(), ''`)
	browser.WaitFor(ctx, t, `document.querySelector('#applied').textContent === 'Applied 1 of 1'`)
	browser.Do(ctx, t, chromedp.Navigate("about:blank"))

	proxy.Stop(t)
	for _, p := range programs {
		p.Stop(t)
	}
	redis.Stop(t)
}

func (top *topology) startRedis() *harness.Process {
	s := top.file.Services["redis"]
	path := lookPath(top.t, s.Command[0])
	_, port, _ := strings.Cut(top.redis, ":")
	p := harness.Start(top.t, harness.Spec{
		Name: "redis", Path: path, Args: append(slices.Clone(s.Command[1:]), "--port", port, "--bind", "127.0.0.1", "--dir", top.t.TempDir()),
	})
	check := s.HealthCheck.Test // redis-cli ping
	patience.Until(top.t, "redis to be healthy", func() bool {
		return exec.CommandContext(top.t.Context(), check[1], append([]string{"-p", port}, check[2:]...)...).Run() == nil
	})
	return p
}

// start starts a service of one of our programs and waits until its health check
// passes.
func (top *topology) start(name string, replica int) (p *harness.Process, addr string) {
	top.t.Helper()
	s := top.file.Services[name]
	addr = harness.FreeAddr(top.t)
	env := make([]string, 0, len(s.Environment))
	for _, key := range slices.Sorted(maps.Keys(s.Environment)) {
		value := expand(s.Environment[key])
		switch {
		case strings.HasPrefix(value, ":"):
			value = addr
		case key == "LASTMILE_PUBLIC_URL" && name == "web":
			value = "http://" + top.proxy
		}
		env = append(env, key+"="+strings.ReplaceAll(value, "redis:6379", top.redis))
	}
	spec := harness.Spec{Name: name + "-" + strconv.Itoa(replica+1), Path: program(top.t, s.Command[0]), Args: s.Command[1:], Env: env}
	p = harness.Start(top.t, spec)
	check := s.HealthCheck.Test
	patience.Until(top.t, spec.Name+" to be healthy", func() bool {
		cmd := exec.CommandContext(top.t.Context(), program(top.t, check[1]), check[2:]...)
		cmd.Env = env
		return cmd.Run() == nil
	})
	return p, addr
}

// asynqmon opens the console with the password that the file takes from outside.
func (top *topology) asynqmon(addr string) {
	top.t.Helper()
	r, err := http.NewRequestWithContext(top.t.Context(), http.MethodGet, "http://"+addr+"/admin/asynq/", nil)
	if err != nil {
		top.t.Fatal(err)
	}
	for _, want := range []int{http.StatusUnauthorized, http.StatusOK} {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			top.t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != want {
			top.t.Errorf("asynqmon: status %d, want %d (%v)", res.StatusCode, want, err)
		}
		r.SetBasicAuth("anybody", password)
	}
	http.DefaultClient.CloseIdleConnections()
}

// startProxy starts nginx with deploy's configuration before the nodes.
func (top *topology) startProxy(nodes []string) *harness.Process {
	top.t.Helper()
	dir := top.t.TempDir()
	nginxFiles(top.t, dir, top.proxy, nodes)
	p := harness.Start(top.t, harness.Spec{
		Name: "proxy", Path: lookPath(top.t, "nginx"), Args: []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr", "-g", "daemon off;"},
	})
	check := top.file.Services["proxy"].HealthCheck.Test
	path := strings.TrimPrefix(check[len(check)-1], "http://127.0.0.1")
	patience.Until(top.t, "the proxy to be healthy", func() bool {
		r, err := http.NewRequestWithContext(top.t.Context(), http.MethodGet, "http://"+top.proxy+path, nil)
		if err != nil {
			top.t.Fatal(err)
		}
		r.Close = true
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	return p
}

// expand puts in what the file takes from outside, or its default.
func expand(value string) string {
	return regexp.MustCompile(`\$\{(\w+):-([^}]*)\}`).ReplaceAllStringFunc(value, func(v string) string {
		if strings.HasPrefix(v, "${LASTMILE_ADMIN_TOKEN") {
			return password
		}
		_, byDefault, _ := strings.Cut(strings.TrimSuffix(v, "}"), ":-")
		return byDefault
	})
}

// program returns the file that the image has under a path.
func program(t *testing.T, path string) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, dir)
	}
	return filepath.Join(dir, path)
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil { // a visitor of Debian does not have it in the path
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		t.Fatalf("%s is needed (Debian: apt-get install redis-server nginx-light): %v", name, err)
	}
	return path
}

// nginxFiles writes deploy's configuration into dir, with nothing changed but where
// it listens and writes, and where the nodes are.
func nginxFiles(t *testing.T, dir, listen string, nodes []string) {
	t.Helper()
	servers := regexp.MustCompile(`(?m)^(\s*server )127\.0\.0\.1:\d+( .*)$`)
	upstream := read(t, "deploy/upstream.conf")
	if len(nodes) > 0 {
		line := servers.FindStringSubmatch(upstream)
		if line == nil {
			t.Fatal("deploy/upstream.conf lists no server")
		}
		var all []string
		for _, n := range nodes {
			all = append(all, line[1]+n+line[2])
		}
		first := servers.FindStringIndex(upstream)[0]
		upstream = upstream[:first] + strings.Join(all, "\n") + servers.ReplaceAllString(upstream[first:], "")
	}
	replace := strings.NewReplacer(
		"\nhttp {\n", "\npid "+dir+"/pid;\nhttp {\n\tclient_body_temp_path "+dir+"/b; proxy_temp_path "+dir+"/p; fastcgi_temp_path "+dir+"/f; uwsgi_temp_path "+dir+"/u; scgi_temp_path "+dir+"/s;\n",
		"listen 80;", "listen "+listen+";",
	)
	for name, text := range map[string]string{"nginx.conf": replace.Replace(read(t, "deploy/nginx.conf")), "upstream.conf": upstream} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
