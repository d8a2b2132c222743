// Package repo finds the repository that a test runs in. It reads nothing of it.
// Tests and internal/tools use it; no program or library does.
package repo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
