package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// report is what vitest says of a run.
type report struct {
	Total  int `json:"numTotalTests"`
	Passed int `json:"numPassedTests"`
	Left   int `json:"numPendingTests"`
	Files  []struct {
		Message string `json:"message"`
		Cases   []struct {
			Groups   []string `json:"ancestorTitles"`
			Title    string   `json:"title"`
			Status   string   `json:"status"`
			Failures []string `json:"failureMessages"`
		} `json:"assertionResults"`
	} `json:"testResults"`

	took time.Duration
}

// vitest runs the suite. Its own files lie in dir, beside a link to the modules.
func vitest(ctx context.Context, root, modules, dir, only string, env ...string) (report, error) {
	var r report
	text, err := os.ReadFile(filepath.Join(root, "internal/tools/streamsuite/suite.test.mjs"))
	if err != nil {
		return r, err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "suite.test.mjs"), text, 0o600), //nolint:gosec // a directory that this process made
		os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private": true, "type": "module"}`), 0o600),
		os.Symlink(modules, filepath.Join(dir, "node_modules")))
	if err != nil {
		return r, err
	}
	out := filepath.Join(dir, "report.json")
	args := []string{
		filepath.Join(modules, "vitest/vitest.mjs"), "run", "--root", dir, "--reporter=json", "--outputFile=" + out, "--no-cache", "--no-color",
		"--testTimeout=60000", // a case compares 100,000 bytes one by one, which takes 5 seconds on a busy machine
	}
	if only != "" {
		args = append(args, "-t", only)
	}
	started := time.Now()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Env = append(os.Environ(), env...)
	said, failed := cmd.CombinedOutput() // it fails if a case does
	r.took = time.Since(started)
	text, err = os.ReadFile(out)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("no report of the suite: %w\n%s", errors.Join(err, failed), said)
	}
	return r, nil
}

// subscriptions is the group that is no part of the protocol's core.
const subscriptions = "Reserved subscription APIs"

// failures describes the cases that did not pass, those that did not run too
// unless only some were to.
func (r report) failures(some bool) []string {
	var all []string
	for _, f := range r.Files {
		if f.Message != "" {
			all = append(all, f.Message)
		}
		for _, c := range f.Cases {
			if c.Status != "passed" && (c.Status != "skipped" || !some && (len(c.Groups) == 0 || c.Groups[0] != subscriptions)) {
				why, _, _ := strings.Cut(strings.Join(c.Failures, " "), "\n")
				all = append(all, fmt.Sprintf("%s: %s > %s: %s", c.Status, strings.Join(c.Groups, " > "), c.Title, why))
			}
		}
	}
	return all
}

// writeReport writes the page of docs.
func writeReport(file, modules string, r report) error {
	version, err := versionOf(filepath.Join(modules, "@durable-streams/server-conformance-tests/package.json"))
	if err != nil {
		return err
	}
	groups := map[string]int{}
	for _, f := range r.Files {
		for _, c := range f.Cases {
			if c.Status == "passed" && len(c.Groups) > 0 {
				groups[c.Groups[0]]++
			}
		}
	}
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(groups[b]-groups[a], strings.Compare(a, b)) })
	before, _, found := strings.Cut(mustRead(file), "<!-- report -->")
	if !found {
		return fmt.Errorf("streamsuite: %s has no line <!-- report -->", file)
	}
	var b strings.Builder
	b.WriteString(before)
	fmt.Fprintf(&b, "<!-- report -->\n\n`@durable-streams/server-conformance-tests` %s: %d of %d cases pass, in memory and on a redis-server.\n\n", version, r.Passed, r.Total-r.Left)
	b.WriteString("| group | cases | passed |\n|---|---|---|\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", name, groups[name], groups[name])
	}
	return os.WriteFile(file, []byte(b.String()), 0o644) //nolint:gosec // a page of the documentation
}

func mustRead(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(text)
}

func versionOf(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var p struct {
		Version string `json:"version"`
	}
	return p.Version, json.Unmarshal(text, &p)
}
