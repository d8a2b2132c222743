package scaffold

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"lastmile/internal/repo"
)

// New copies the starter of the repository at root into a new directory, as a module
// of its own that takes this one from root.
func New(root, dir, module string) error {
	if !regexp.MustCompile(`^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*$`).MatchString(module) {
		return fmt.Errorf("scaffold: %q is no module path such as example.com/shop", module)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("scaffold: %s is not empty", dir)
	}
	old, err := repo.Module(root)
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "starter"))); err != nil {
		return fmt.Errorf("scaffold: copy the starter: %w", err)
	}
	mod, err := goMod(root, dir, module, old)
	if err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return fmt.Errorf("scaffold: %w", err)
	}
	for name, text := range map[string]string{
		"go.mod": mod, "go.sum": string(sum), ".gitignore": "/tmp/\n/vendor/\n", ".dockerignore": ".git\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("scaffold: %w", err)
		}
	}
	// The rest of go.mod is what Go finds that the program needs.
	cmd := exec.Command("go", "list", "-mod=mod", "-deps", "-test", "./...") //nolint:noctx // fixed arguments, and as long as it takes
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("scaffold: complete go.mod: %w\n%s", err, out)
	}
	return nil
}

// goMod is the new module's: it requires this one and has it replaced by root, with the
// versions of all others as they are here.
func goMod(root, dir, module, old string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("scaffold: %w", err)
	}
	version := regexp.MustCompile(`(?m)^go .*$`).Find(b)
	if version == nil {
		return "", errors.New("scaffold: go.mod names no version of Go")
	}
	from, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("scaffold: %w", err)
	}
	to, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("scaffold: %w", err)
	}
	way, err := filepath.Rel(to, from)
	if err != nil {
		return "", fmt.Errorf("scaffold: %w", err)
	}
	return strings.Join([]string{
		"module " + module, "", string(version), "", "require " + old + " v0.0.0", "", "replace " + old + " => " + filepath.ToSlash(way), "",
	}, "\n"), nil
}
