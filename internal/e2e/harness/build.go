package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"lastmile/internal/repo"
)

// Binaries are the programs under test, built once for a test binary.
type Binaries struct {
	once sync.Once
	dir  string
	err  error
	out  []byte
}

// Programs are the reference binaries, with the race detector in them.
var programs = []string{"./cmd/web", "./cmd/worker"}

// Web returns the path of cmd/web's program.
func (b *Binaries) Web(t testing.TB) string {
	t.Helper()
	return b.path(t, "web")
}

// Worker returns the path of cmd/worker's program.
func (b *Binaries) Worker(t testing.TB) string {
	t.Helper()
	return b.path(t, "worker")
}

// Remove deletes what was built; TestMain calls it last.
func (b *Binaries) Remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // a temporary directory
	}
}

func (b *Binaries) path(t testing.TB, name string) string {
	t.Helper()
	b.once.Do(func() {
		b.dir, b.err = os.MkdirTemp("", "lastmile-e2e-") //nolint:usetesting // it outlives the test that asks first
		if b.err != nil {
			return
		}
		args := append([]string{"build", "-race", "-o", b.dir + string(filepath.Separator)}, programs...)
		cmd := exec.Command("go", args...) //nolint:noctx // fixed arguments; go test's own timeout bounds it
		if cmd.Dir, b.err = repo.Root(); b.err != nil {
			return
		}
		b.out, b.err = cmd.CombinedOutput()
	})
	if b.err != nil {
		t.Fatalf("harness: build the programs: %v\n%s", b.err, b.out)
	}
	return filepath.Join(b.dir, name)
}
