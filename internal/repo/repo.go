// Package repo finds the repository that a test runs in, and its name. It reads
// nothing else of it.
// Tests and internal/tools use it; no program or library does.
package repo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Root returns the directory of go.mod, seen from a test in any package: go
// test runs each test in its package's directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("repo: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("repo: no go.mod above the working directory")
}

// Module returns the module path that root's go.mod has.
func Module(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("repo: %w", err)
	}
	m := regexp.MustCompile(`(?m)^module (\S+)$`).FindSubmatch(b)
	if m == nil {
		return "", errors.New("repo: go.mod names no module")
	}
	return string(m[1]), nil
}
