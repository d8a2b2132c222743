// Package testcount reads what `go test -json` writes, prints what a person
// wants of it, and counts the tests of each tier, so that a run which tested
// less than it should cannot look like a good one. It runs no test itself. Only
// the command of the same name uses it.
package testcount

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Event is one line of `go test -json`.
type Event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
}

// Tier is a kind of test. A test belongs to the first tier that takes it.
type Tier struct {
	Name string
	// Package, when not empty, is a part of the import path.
	Package string
	// Test, when not nil, must match the name of the top-level test.
	Test *regexp.Regexp
}

func (t Tier) takes(pkg, test string) bool {
	root, _, _ := strings.Cut(test, "/")
	if t.Package != "" && !strings.Contains(pkg+"/", t.Package) {
		return false
	}
	return t.Test == nil || t.Test.MatchString(root)
}

// Tiers are this repository's, the catch-all last.
func Tiers() []Tier {
	return []Tier{
		{Name: "browser", Test: regexp.MustCompile(`^TestBrowser`)},
		{Name: "browser", Package: "/internal/browser/"},
		{Name: "e2e", Package: "/internal/e2e/"},
		{Name: "conformance", Test: regexp.MustCompile(`Conformance`)},
		{Name: "engine", Package: "/live/internal/engine/"},
		{Name: "unit"},
	}
}

// Counts is how the tests of one tier ended. Tests and subtests count alike.
type Counts struct{ Passed, Failed, Skipped int }

// Counter collects events. It is not safe for concurrent use.
type Counter struct {
	out    io.Writer
	tiers  []Tier
	counts map[string]*Counts
	output map[string][]string // of tests that have not ended, by package and name
	failed []string
	skips  []string
	seeds  map[string]string
	broken []string // packages that failed without a failing test: build, TestMain, panic
	// culprits holds packages with a failing test, which are not broken besides.
	culprits map[string]bool
}

// New returns a Counter that prints to out.
func New(out io.Writer, tiers []Tier) *Counter {
	c := &Counter{
		out: out, tiers: tiers,
		counts:   map[string]*Counts{},
		output:   map[string][]string{},
		culprits: map[string]bool{}, seeds: map[string]string{},
	}
	for _, t := range tiers {
		c.counts[t.Name] = &Counts{}
	}
	return c
}

// Read takes events from r until its end. Lines that are no events are
// printed as they are: a build that fails early writes such.
func (c *Counter) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Action == "" {
			if err := c.print(lines.Text() + "\n"); err != nil {
				return err
			}
			continue
		}
		if err := c.Add(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("testcount: read events: %w", err)
	}
	return nil
}

// Add takes one event.
func (c *Counter) Add(e Event) error {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		return c.print(e.Output)
	case "output":
		if e.Test == "" {
			return c.packageLine(e)
		}
		c.output[key] = append(c.output[key], e.Output)
		return c.report(e)
	case "pass", "fail", "skip":
		defer delete(c.output, key)
		if e.Test == "" {
			return c.endPackage(e)
		}
		return c.endTest(e, c.output[key])
	}
	return nil
}

// packageLine prints go test's own lines, but for the bare verdict that the
// closing line repeats, and the seed of the order.
func (c *Counter) packageLine(e Event) error {
	if e.Output == "PASS\n" {
		return nil
	}
	if strings.HasPrefix(e.Output, "-test.shuffle ") { // only a failure asks for the seed
		c.seeds[e.Package] = e.Output
		return nil
	}
	return c.print(e.Output)
}

var reportLine = regexp.MustCompile(`^\s*(?:[\w.-]+\.go:\d+: )?report: (.*)`)

// report prints at once what a test logs as "report: ...": figures that
// belong in the run's record although the test passes.
func (c *Counter) report(e Event) error {
	if m := reportLine.FindStringSubmatch(e.Output); m != nil {
		return c.print(fmt.Sprintf("    %s: %s\n", e.Test, m[1]))
	}
	return nil
}

func (c *Counter) endTest(e Event, output []string) error {
	n := c.counts[c.tier(e.Package, e.Test)]
	name := e.Package + " " + e.Test
	switch e.Action {
	case "pass":
		n.Passed++
		return nil
	case "skip":
		n.Skipped++
		c.skips = append(c.skips, name)
	default:
		n.Failed++
		c.failed = append(c.failed, name)
		c.culprits[e.Package] = true
	}
	return c.print(strings.Join(output, ""))
}

// endPackage notes a package that failed by itself, and prints what its
// unfinished tests said: a panic or a timeout ends them without an event.
func (c *Counter) endPackage(e Event) error {
	if e.Action != "fail" {
		return nil
	}
	if err := c.print(c.seeds[e.Package]); err != nil {
		return err
	}
	for key, output := range c.output {
		if strings.HasPrefix(key, e.Package+" ") {
			delete(c.output, key)
			if err := c.print(strings.Join(output, "")); err != nil {
				return err
			}
		}
	}
	if !c.culprits[e.Package] {
		c.broken = append(c.broken, e.Package)
	}
	return nil
}

func (c *Counter) tier(pkg, test string) string {
	for _, t := range c.tiers {
		if t.takes(pkg, test) {
			return t.Name
		}
	}
	return ""
}

func (c *Counter) print(s string) error {
	if _, err := io.WriteString(c.out, s); err != nil {
		return fmt.Errorf("testcount: print: %w", err)
	}
	return nil
}

// Summary prints the table of tiers and says what is wrong: a failed or
// skipped test, a broken package, or a tier of require without any test.
func (c *Counter) Summary(require []string) error {
	var all Counts
	var b strings.Builder
	seen := map[string]bool{}
	fmt.Fprintf(&b, "\n%-12s %8s %8s %8s\n", "tier", "passed", "failed", "skipped")
	for _, t := range c.tiers {
		if seen[t.Name] {
			continue
		}
		seen[t.Name] = true
		n := c.counts[t.Name]
		all.Passed, all.Failed, all.Skipped = all.Passed+n.Passed, all.Failed+n.Failed, all.Skipped+n.Skipped
		fmt.Fprintf(&b, "%-12s %8d %8d %8d\n", t.Name, n.Passed, n.Failed, n.Skipped)
	}
	fmt.Fprintf(&b, "\n%d passed, %d failed, %d skipped\n", all.Passed, all.Failed, all.Skipped)
	err := c.print(b.String())
	return errors.Join(err, c.verdict(require))
}

func (c *Counter) verdict(require []string) error {
	var errs []error
	for _, list := range []struct {
		what  string
		names []string
	}{{"failed", c.failed}, {"skipped (a skipped test proves nothing)", c.skips}, {"broken package", c.broken}} {
		for _, name := range list.names {
			errs = append(errs, fmt.Errorf("%s: %s", list.what, name))
		}
	}
	for _, name := range require {
		n, ok := c.counts[name]
		if !ok {
			errs = append(errs, fmt.Errorf("no such tier: %s", name))
		} else if n.Passed == 0 {
			errs = append(errs, fmt.Errorf("tier %s ran no test", name))
		}
	}
	return errors.Join(errs...)
}
