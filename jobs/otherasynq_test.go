package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastmile/internal/redistest"
	"lastmile/jobs"
)

// otherReport is what testdata/otherasynq prints.
type otherReport struct {
	Jobs map[string]struct {
		State jobs.State
		Runs  int
		Ends  int
		Early bool
	}
	Warned  []string
	Unknown float64
	Left    []string
}

// TestOtherAsynq runs jobs of every fate on private copies of Asynq that call
// Redis in other ways than the one that this package was written for. Each job
// runs as often as it should, ends once, and its end does not wait for a call of
// Asynq's that never comes. What matters is found out at the start and said once.
func TestOtherAsynq(t *testing.T) {
	t.Parallel()
	program := buildOther(t)
	const warning = "this Asynq is another one than jobs was written for: jobs cost more calls"
	servers := make(chan *redistest.Server, 8)
	for range cap(servers) {
		servers <- redistest.Start(t, redistest.Config{})
	}
	for _, tt := range []struct {
		vary, rename string
		unknown      bool // by what this package relies on
	}{
		{},
		{vary: "enqueue/extra", unknown: true},
		{vary: "enqueue/text", unknown: true},
		{vary: "enqueue/swap", unknown: true},
		{vary: "enqueue/order", unknown: true},
		{vary: "enqueue/fewer", unknown: true},
		{vary: "enqueueUnique/extra"},
		{vary: "enqueueUnique/swap"},
		{vary: "schedule/extra"},
		{vary: "schedule/swap"},
		{vary: "schedule/order"},
		{vary: "dequeue/extra", unknown: true},
		{vary: "dequeue/text", unknown: true},
		{vary: "dequeue/swap", unknown: true},
		{vary: "dequeue/order", unknown: true},
		{vary: "dequeue/fewer", unknown: true},
		{vary: "done/extra", unknown: true},
		{vary: "done/text", unknown: true},
		{vary: "done/swap", unknown: true},
		{vary: "done/order", unknown: true},
		{vary: "done/fewer", unknown: true},
		{vary: "complete/extra"},
		{vary: "complete/swap"},
		{vary: "complete/order"},
		{vary: "retry/extra"},
		{vary: "retry/swap"},
		{vary: "retry/order"},
		{vary: "archive/extra"},
		{vary: "archive/swap"},
		{vary: "archive/order"},
		{vary: "requeue/extra"},
		{vary: "requeue/swap"},
		{vary: "forward/extra", unknown: true},
		{vary: "forward/text", unknown: true},
		{vary: "forward/swap", unknown: true},
		{vary: "extend/script", unknown: true},
		{vary: "every/field", unknown: true},
		{rename: "pending", unknown: true},
		{rename: "active", unknown: true},
		{rename: "lease", unknown: true},
		{rename: "t:", unknown: true},
		{rename: "archived"},
		{rename: "scheduled"},
		{rename: "retry"},
		{rename: "processed", unknown: true},
	} {
		t.Run(strings.ReplaceAll(tt.vary+tt.rename, "/", " "), func(t *testing.T) {
			result := make(chan otherResult, 1)
			go func() { // the programs wait most of the time, so more run at once than tests do
				server := <-servers
				result <- runOther(t.Context(), program, server.Addr(), tt.vary, tt.rename)
				servers <- server
			}()
			t.Parallel()
			r := <-result
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.log)
			}
			checkOther(t, &r.otherReport)
			if got := slices.Contains(r.Warned, warning); got != tt.unknown || (r.Unknown > 0) != tt.unknown {
				t.Errorf("warned %t, %v parts unknown, want unknown %t", got, r.Unknown, tt.unknown)
			}
			if n := len(slices.DeleteFunc(r.Warned, func(m string) bool { return m != warning })); n > 1 {
				t.Errorf("warned %d times", n)
			}
			if t.Failed() {
				t.Log(r.log)
			}
		})
	}
}

type otherResult struct {
	otherReport
	err error
	log string
}

func runOther(ctx context.Context, program, addr, vary, rename string) (r otherResult) {
	cmd := exec.CommandContext(ctx, program, addr)
	cmd.Env = append(os.Environ(), "ASYNQ_VARY="+vary, "ASYNQ_RENAME="+rename)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r.otherReport)
	}
	r.err, r.log = err, log.String()
	return r
}

func checkOther(t *testing.T, r *otherReport) {
	t.Helper()
	want := map[string]jobs.State{"ok": jobs.StateCompleted, "retry": jobs.StateCompleted, "fail": jobs.StateFailed, "slow": jobs.StateCompleted}
	if len(r.Jobs) < 2*2*3*len(want)+4 {
		t.Errorf("%d jobs", len(r.Jobs))
	}
	for name, j := range r.Jobs {
		fate := strings.TrimPrefix(strings.TrimPrefix(name, "plain-"), "kept-")
		fate, _, _ = strings.Cut(fate, "-")
		state, runs := want[fate], 1
		switch {
		case name == "cancelled":
			state = jobs.StateCancelled
		case fate == "retry", name == "handed-back":
			state, runs = jobs.StateCompleted, 2
		case state == "":
			state = jobs.StateCompleted
		}
		if fate == "slow" && j.Runs == 2 {
			runs = 2 // it was running when the first pool stopped
		}
		if j.State != state || j.Runs != runs || j.Ends != 1 || j.Early {
			t.Errorf("job %s = %+v, want %s after %d runs, one end, not early", name, j, state, runs)
		}
	}
	if len(r.Left) > 0 {
		t.Errorf("Asynq has still %v", r.Left)
	}
	if late := "Asynq did not come for the task of a job that has ended"; slices.Contains(r.Warned, late) {
		t.Error(late)
	}
}

// buildOther builds the program with a private copy of Asynq that varies by its
// environment.
func buildOther(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/hibiken/asynq")
	found, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	asynqDir := filepath.Join(dir, "asynq")
	copyGo(t, strings.TrimSpace(string(found)), asynqDir)
	edit(t, filepath.Join(asynqDir, "internal/rdb/rdb.go"), "client: client,", "client: vary(client),")
	text, err := os.ReadFile("testdata/otherasynq/vary.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(asynqDir, "internal/rdb/vary.go"), string(text))
	base := filepath.Join(asynqDir, "internal/base/base.go")
	for _, name := range []string{"t:", "pending", "active", "lease", "archived", "scheduled", "retry", "processed"} {
		edit(t, base, `QueueKeyPrefix(qname) + "`+name+`"`, `QueueKeyPrefix(qname) + renamed("`+name+`")`)
	}
	write(t, filepath.Join(asynqDir, "internal/base/renamed.go"), `package base

import "os"

func renamed(name string) string {
	if os.Getenv("ASYNQ_RENAME") == name {
		return "other" + name
	}
	return name
}
`)
	for _, f := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join("..", f))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, f), string(b))
	}
	run(t, "go", "mod", "edit", "-replace", "github.com/hibiken/asynq="+asynqDir, filepath.Join(dir, "go.mod"))
	program := filepath.Join(dir, "otherasynq")
	run(t, "go", "build", "-mod=mod", "-modfile", filepath.Join(dir, "go.mod"), "-o", program, "./testdata/otherasynq")
	return program
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func edit(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(from)) {
		t.Fatalf("%s has no %q", path, from)
	}
	write(t, path, strings.ReplaceAll(string(b), from, to))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyGo copies the Go sources of a module.
func copyGo(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, bad := filepath.Rel(from, path)
		if err != nil || bad != nil {
			return bad
		}
		if d.IsDir() {
			if d.Name() == "tools" || d.Name() == "x" || d.Name() == "docs" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if (!strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go")) && d.Name() != "go.mod" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
