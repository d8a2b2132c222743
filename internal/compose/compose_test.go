// Package compose_test checks the files that run the programs elsewhere:
// docker-compose.yml, the proxy's configuration and the Dockerfile. No Docker
// is needed for it.
package compose_test

import (
	"debug/elf"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

type file struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image       string            `yaml:"image"`
	Build       string            `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	ReadOnly    bool              `yaml:"read_only"`
	StopGrace   string            `yaml:"stop_grace_period"`
	Deploy      struct {
		Replicas int `yaml:"replicas"`
	} `yaml:"deploy"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	HealthCheck struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

func load(t *testing.T) file {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := yaml.Unmarshal(b, &f); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return f
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// image has the programs built to the letter of the Dockerfile. Else they are built as
// the other tests' are, which spares two minutes of compiling all packages once more.
var image = flag.Bool("image", false, "build as the Dockerfile says, and check the image's contents")

// built runs the Dockerfile's build stage, once for all tests, and returns where it
// put the programs.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lastmile-compose-")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return "", err
	}
	command := regexp.MustCompile(`(?m)^RUN (.*go build .*)$`).FindSubmatch(text)
	if command == nil {
		return "", errors.New("the Dockerfile builds nothing")
	}
	line := strings.ReplaceAll(string(command[1]), "/out/", dir+"/")
	if !*image {
		line = strings.NewReplacer("CGO_ENABLED=0 ", "", "-trimpath ", "", `-ldflags="-s -w" `, "").Replace(line)
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return string(out), err
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	defer func() {
		if dir, err := built(); err == nil {
			_ = os.RemoveAll(dir) // a temporary folder
		}
	}()
	m.Run()
}

// help returns what a command prints about its settings.
func help(t *testing.T, args ...string) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, dir)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, args[0]), append(args[1:], "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v --help: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestServices(t *testing.T) {
	t.Parallel()
	f := load(t)
	for name, want := range map[string]struct {
		replicas int
		needs    string
	}{
		"redis": {0, ""}, "web": {2, "redis"}, "worker": {2, "redis"}, "proxy": {0, "web"}, "asynqmon": {0, "redis"},
	} {
		s, ok := f.Services[name]
		if !ok {
			t.Errorf("there is no service %q", name)
			continue
		}
		if s.Deploy.Replicas != want.replicas {
			t.Errorf("%s: %d replicas, want %d", name, s.Deploy.Replicas, want.replicas)
		}
		if want.needs != "" && s.DependsOn[want.needs].Condition != "service_healthy" {
			t.Errorf("%s does not wait for a healthy %s", name, want.needs)
		}
		if len(s.HealthCheck.Test) < 2 || s.HealthCheck.Test[0] != "CMD" || s.HealthCheck.Interval == "" || s.HealthCheck.Retries == 0 {
			t.Errorf("%s has no complete health check: %+v", name, s.HealthCheck)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %q beyond this machine", name, p)
			}
		}
	}
	if len(f.Services) != 5 {
		t.Errorf("got %d services, want 5", len(f.Services))
	}
}

func TestRedisKeepsWhatItAccepts(t *testing.T) {
	t.Parallel()
	f := load(t)
	redis := f.Services["redis"]
	command := strings.Join(redis.Command, " ")
	for _, want := range []string{"--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"} {
		if !strings.Contains(command, want) {
			t.Errorf("redis runs without %q: %s", want, command)
		}
	}
	if !strings.HasPrefix(redis.Image, "redis:7") || !slices.Contains(redis.Volumes, "redis:/data") {
		t.Errorf("redis: image %q, volumes %q", redis.Image, redis.Volumes)
	}
	if _, ok := f.Volumes["redis"]; !ok {
		t.Error("the volume of redis is not declared")
	}
}

// Every variable that is set exists as a setting of the program it is set for,
// and every flag that a command uses does too.
func TestEnvironmentExists(t *testing.T) {
	t.Parallel()
	variable := regexp.MustCompile(`\(\$([A-Z0-9_]+)\)`)
	f := load(t)
	for name, args := range map[string][]string{"web": {"web"}, "asynqmon": {"web"}, "worker": {"worker", "run"}} {
		text := help(t, args...)
		var known []string
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			known = append(known, m[1])
		}
		if len(known) < 10 {
			t.Fatalf("%s --help names only %v", name, known)
		}
		s := f.Services[name]
		for v := range s.Environment {
			if !slices.Contains(known, v) {
				t.Errorf("%s has no setting for %s", name, v)
			}
		}
		if s.Environment["REDIS_URL"] != "redis://redis:6379/0" {
			t.Errorf("%s uses the Redis %q", name, s.Environment["REDIS_URL"])
		}
		for _, word := range slices.Concat(s.Command, s.HealthCheck.Test) {
			if flag, _, _ := strings.Cut(word, "="); strings.HasPrefix(flag, "--") && !strings.Contains(text, flag) {
				t.Errorf("%s has no flag %s", name, flag)
			}
		}
		if want := append([]string{"/" + args[0]}, args[1:]...); !slices.Equal(s.Command, want) {
			t.Errorf("%s runs %q, want %q", name, s.Command, want)
		}
		if !s.ReadOnly || s.StopGrace == "" {
			t.Errorf("%s: read-only %v, stop grace %q", name, s.ReadOnly, s.StopGrace)
		}
	}
}

func TestNoSecretIsWrittenDown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"web", "asynqmon"} {
		if got := load(t).Services[name].Environment["LASTMILE_ADMIN_TOKEN"]; got != "${LASTMILE_ADMIN_TOKEN:-}" {
			t.Errorf("%s: the admin token is %q, want the caller's or none", name, got)
		}
	}
}

func TestProxyHasNoStickySessions(t *testing.T) {
	t.Parallel()
	conf := read(t, "deploy/nginx.conf") + read(t, "deploy/upstream-docker.conf") + read(t, "deploy/upstream.conf")
	for _, word := range []string{"ip_hash", "hash ", "sticky", "least_conn"} {
		if strings.Contains(conf, "\t"+word) {
			t.Errorf("the proxy chooses nodes by %q", word)
		}
	}
	for _, want := range []string{"server web:8080 resolve", "proxy_set_header Upgrade", "proxy_next_upstream", "proxy_request_buffering off"} {
		if !strings.Contains(conf, want) {
			t.Errorf("the proxy's configuration lacks %q", want)
		}
	}
	for _, mount := range []string{"./deploy/nginx.conf:/etc/nginx/nginx.conf:ro", "./deploy/upstream-docker.conf:/etc/nginx/upstream.conf:ro"} {
		if !slices.Contains(load(t).Services["proxy"].Volumes, mount) {
			t.Errorf("the proxy does not mount %s", mount)
		}
	}
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := read(t, "Dockerfile")
	if n := strings.Count(text, "\nFROM "); n != 2 {
		t.Errorf("got %d stages, want 2", n)
	}
	_, last, _ := strings.Cut(text, "FROM scratch")
	for _, want := range []string{"USER 65532", "/out/web /out/worker"} {
		if !strings.Contains(last, want) {
			t.Errorf("the image lacks %q", want)
		}
	}
	if !strings.Contains(text, "RUN CGO_ENABLED=0 go build") {
		t.Error("the programs are not static")
	}
	if !*image {
		return
	}
	dir, err := built()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, dir)
	}
	// The last stage has nothing but them: they must need nothing.
	for _, name := range []string{"web", "worker"} {
		program, err := elf.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range program.Progs {
			if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
				t.Errorf("%s is not static: %v", name, part.Type)
			}
		}
		if err := program.Close(); err != nil {
			t.Error(err)
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if !strings.Contains(text, "FROM golang:"+version[1]) {
		t.Errorf("the image is not built with Go %s", version[1])
	}
}
