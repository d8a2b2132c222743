package docscheck_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lastmile/internal/docscheck"
	"lastmile/internal/repo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func root(t *testing.T) string {
	t.Helper()
	dir, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func docs(t *testing.T) []docscheck.Doc {
	t.Helper()
	all, err := docscheck.Docs(root(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d Markdown files found", len(all))
	}
	return all
}

// sources returns the text of all files with one of the suffixes.
func sources(t *testing.T, suffixes ...string) string {
	t.Helper()
	var b strings.Builder
	for _, suffix := range suffixes {
		paths, err := docscheck.Files(root(t), suffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			b.WriteString(read(t, p))
		}
	}
	return b.String()
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := docs(t)
	anchors := map[string]map[string]bool{}
	for _, d := range all {
		anchors[d.Path] = d.Anchors()
	}
	checked := 0
	for _, d := range all {
		for _, ref := range d.Find(link) {
			if strings.Contains(ref.Name, "://") {
				continue
			}
			checked++
			file, fragment, _ := strings.Cut(ref.Name, "#")
			target := d.Path
			if file != "" {
				target = path.Join(path.Dir(d.Path), file)
			}
			if _, err := os.Stat(filepath.Join(root(t), target)); err != nil {
				t.Errorf("%v leads nowhere", ref)
			} else if fragment != "" && !anchors[target][fragment] {
				t.Errorf("%v: no such heading in %s", ref, target)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d links checked", checked)
	}
}

var testLink = regexp.MustCompile("\\[`((?:Test|Fuzz|Example|Benchmark)\\w*`\\]\\([^)]+)\\)")

// TestLinkedTestsAreWhereTheLinkSays holds the failure table to its word.
func TestLinkedTestsAreWhereTheLinkSays(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, d := range docs(t) {
		for _, ref := range d.Find(testLink) {
			checked++
			name, file, _ := strings.Cut(ref.Name, "`](")
			target := path.Join(path.Dir(d.Path), file)
			if _, err := os.Stat(filepath.Join(root(t), target)); err != nil {
				continue // TestLinksLeadSomewhere says so
			}
			if !strings.Contains(read(t, target), "func "+name+"(") {
				t.Errorf("%s:%d: %s has no %s", ref.Doc, ref.Line, target, name)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d test links checked", checked)
	}
}

func TestNamesInTheDocsExist(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		re     *regexp.Regexp
		in     string
		quoted func(string) string // how the name looks where it is defined
	}{
		{"tests", regexp.MustCompile("`((?:Test|Fuzz|Example|Benchmark)[A-Z]\\w*)`"), sources(t, "_test.go"), func(s string) string { return "func " + s + "(" }},
		{"make targets", regexp.MustCompile("`make ([a-z-]+)"), "\n" + read(t, "Makefile") + read(t, "examples/starter/Makefile"), func(s string) string { return "\n" + s + ":" }},
		{"environment", regexp.MustCompile("`((?:LASTMILE_|LOG_|REDIS_|OTEL_)[A-Z_]+)"), sources(t, ".go", "docker-compose.yml", ".ci/run"), func(s string) string { return s }},
		{"flags of the programs", regexp.MustCompile("`(?:web|worker|go run \\./cmd/\\w+)[^`]* --([a-z-]+)"), sources(t, ".go"), func(s string) string { return s }},
		{"metrics", regexp.MustCompile("`((?:push|live|jobs)_[a-z_]+)`"), sources(t, ".go"), func(s string) string { return `"` + s + `"` }},
		{"exported names", regexp.MustCompile("`(?:lastmile|push|live|jobs)\\.([A-Z]\\w*)"), sources(t, ".go"), func(s string) string { return s }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, d := range docs(t) {
				for _, ref := range d.Find(tt.re) {
					if !strings.Contains(tt.in, tt.quoted(ref.Name)) && !saysWhatChanged(d, ref.Line) {
						t.Errorf("%v does not exist", ref)
					}
				}
			}
		})
	}
}

// saysWhatChanged says whether a line is of the part of the change log that
// tells old names with the new ones.
func saysWhatChanged(d docscheck.Doc, line int) bool {
	if d.Path != "CHANGELOG.md" {
		return false
	}
	section := ""
	for _, l := range strings.Split(d.Text, "\n")[:line] {
		if title, ok := strings.CutPrefix(l, "### "); ok {
			section = title
		}
	}
	return section == "Changed" || section == "Removed"
}

// TestReadmeCodeIsCompiled finds every Go block of README in a file that the
// compiler sees.
func TestReadmeCodeIsCompiled(t *testing.T) {
	t.Parallel()
	compiled := sources(t, ".go")
	found := 0
	for _, d := range docs(t) {
		for _, b := range d.Blocks {
			if b.Lang != "go" {
				continue
			}
			found++
			if !strings.Contains(compiled, b.Code) {
				t.Errorf("%s:%d: no Go file holds this block", d.Path, b.Line)
			}
		}
	}
	if found == 0 {
		t.Error("no Go block found")
	}
}

func TestReadmeNamesTheTwoCommands(t *testing.T) {
	t.Parallel()
	readme := docscheck.Parse("README.md", read(t, "README.md"))
	ci := read(t, ".ci/run")
	for _, command := range []string{"make run", "make test"} {
		said := false
		for _, b := range readme.Blocks {
			for line := range strings.SplitSeq(b.Code, "\n") {
				said = said || strings.TrimSpace(strings.Split(line, "#")[0]) == command
			}
		}
		if !said {
			t.Errorf("README has no line %q", command)
		}
	}
	if !strings.Contains(ci, "README.md") {
		t.Error(".ci/run does not take the test command from README")
	}
}

// TestReadmeProgramIsWhole: what README shows is the program, all of it, and one
// screen long.
func TestReadmeProgramIsWhole(t *testing.T) {
	t.Parallel()
	const most = 60
	program := read(t, "examples/starter/main.go")
	if n := strings.Count(program, "\n"); n > most {
		t.Errorf("the program has %d lines, want at most %d", n, most)
	}
	if !strings.Contains(read(t, "README.md"), "```go\n"+program+"```") {
		t.Error("README.md does not show examples/starter/main.go as it is")
	}
}

// TestFilesStaySmall: past 400 lines a file is two files.
func TestFilesStaySmall(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{".go", ".ts", ".lua"} {
		paths, err := docscheck.Files(root(t), suffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if n := strings.Count(read(t, p), "\n"); n > 400 {
				t.Errorf("%s has %d lines", p, n)
			}
		}
	}
}

// TestReadmeNamesEverySetting finds each environment variable of the programs
// in README.
func TestReadmeNamesEverySetting(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	settings := regexp.MustCompile(`env:"([A-Z_]+)"`).FindAllStringSubmatch(sources(t, "config.go", "redis.go", "push.go", "cli.go", "run.go"), -1)
	if len(settings) < 20 {
		t.Fatalf("only %d settings found", len(settings))
	}
	for _, s := range settings {
		if !strings.Contains(readme, "`"+s[1]+"`") {
			t.Errorf("README.md does not name %s", s[1])
		}
	}
}
