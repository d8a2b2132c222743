package scaffold_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"lastmile/internal/repo"
	"lastmile/internal/scaffold"
)

// TestNew begins an application, runs its test, builds it and uses it. go.mod is
// what README tells those who write it themselves.
func TestNew(t *testing.T) {
	t.Parallel()
	root := root(t)
	dir := filepath.Join(t.TempDir(), "shop")
	if err := scaffold.New(root, dir, "example.com/shop"); err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, nil, "test", "./...")
	goCommand(t, dir, nil, "build", "-o", "app", ".")
	drive(t, filepath.Join(dir, "app"))

	mod, readme := read(t, dir, "go.mod"), read(t, root, "README.md")
	if !strings.HasPrefix(mod, "module example.com/shop\n") {
		t.Errorf("go.mod is another's:\n%s", mod)
	}
	module, err := repo.Module(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"require " + module + " v0.0.0\n", "replace " + module + " => "} {
		if !strings.Contains(mod, line) || !strings.Contains(readme, line) {
			t.Errorf("go.mod or README.md lacks %q:\n%s", line, mod)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	write(t, full, "mine.go", "package mine\n")
	for _, tt := range []struct{ dir, module, want string }{
		{full, "example.com/shop", "is not empty"},
		{t.TempDir(), "", "no module path"},
		{t.TempDir(), "example.com/my shop", "no module path"},
	} {
		if err := scaffold.New(root(t), tt.dir, tt.module); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q", tt.module, err, tt.want)
		}
	}
	if got := read(t, full, "mine.go"); got != "package mine\n" {
		t.Errorf("a file that was there is now %q", got)
	}
}

// TestStarterRunsElsewhere holds the starter's Dockerfile and compose file to its
// program.
func TestStarterRunsElsewhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root(t), "examples", "starter")
	var compose struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(read(t, dir, "docker-compose.yml")), &compose); err != nil {
		t.Fatal(err)
	}
	program := read(t, dir, "main.go")
	for _, role := range []string{"web", "worker"} {
		env := compose.Services[role].Environment
		if env["ROLE"] != role || env["REDIS_URL"] == "" {
			t.Errorf("%s: environment %v", role, env)
		}
		for name := range env {
			if !strings.Contains(program, `os.Getenv("`+name+`")`) {
				t.Errorf("%s: the program does not read %s", role, name)
			}
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, root(t), "go.mod"))
	if !strings.Contains(read(t, dir, "Dockerfile"), "FROM golang:"+version[1]) {
		t.Errorf("the image is not built with Go %s", version[1])
	}
}
